"""Methods and seeds trained and measured the same way: runs, per-image tables, statistics, claims, charts."""

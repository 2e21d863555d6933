"""The paper's user study: protocol, answers, statistics, widget."""

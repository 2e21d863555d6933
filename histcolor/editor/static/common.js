// What all parts of the page share; put before each part's own script.
//
// The kernel owns every value that is shown. What a user does goes to the kernel as a message, never as a new value, so
// that nothing the page draws can come back as an edit.

const limit = (x, low, high) => Math.max(low, Math.min(high, x));

/** Calls at once, then at most once in `gap` milliseconds, with the newest arguments; `drop` forgets those that wait. */
function throttled(action, gap) {
  let timer = null, waiting = null;
  function run() {
    timer = null;
    if (!waiting) return;
    const now = waiting;
    waiting = null;
    action(...now);
    timer = setTimeout(run, gap);
  }
  const call = (...values) => {
    waiting = values;
    if (!timer) run();
  };
  call.drop = () => { waiting = null; };
  return call;
}

/** Whether a key belongs to the browser or to JupyterLab: with Alt, with Ctrl but for undo and redo, Shift+Enter. */
const foreign = ({ key, altKey, ctrlKey, metaKey, shiftKey }) =>
  altKey || ((ctrlKey || metaKey) && !["y", "z"].includes(key.toLowerCase())) || (shiftKey && key === "Enter");

/** Whether a key is a character alone. No part lets it through: JupyterLab cuts, inserts and turns cells by letters. */
const character = ({ key, altKey, ctrlKey, metaKey }) => key.length === 1 && !(altKey || ctrlKey || metaKey);

/** Another part, by the trait that names it: the tool buttons, a slider. */
const partOf = (model, name) => model.widget_manager.get_model(model.get(name).slice("IPY_MODEL_".length));
const chosen = (tools) => tools.get("_options_labels")[tools.get("index")].toLowerCase();

const LETTERS = { p: "Paint", e: "Erase", m: "Move", c: "Pick", n: "Pin", l: "Look" };

/** Chooses the tool that a letter stands for; tells whether it stands for one. */
function takeTool(tools, key) {
  const index = tools.get("_options_labels").indexOf(LETTERS[key.toLowerCase()]);
  if (index < 0) return false;
  tools.set("index", index);
  tools.save_changes();
  return true;
}

/** A line that is read aloud when its text changes, and not seen. */
function spoken(el) {
  const line = document.createElement("div");
  line.className = "histcolor-spoken";
  line.setAttribute("role", "status");
  el.append(line);
  return (text) => { line.textContent = text; };
}

const ANSWER = 400; // milliseconds, after which the kernel has answered, so that what it says is the newest

/** Listens to several models; returns a function that ends it. */
function listen(...entries) {
  for (const [model, names, handler] of entries) model.on(names, handler);
  return () => { for (const [model, names, handler] of entries) model.off(names, handler); };
}

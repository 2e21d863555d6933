// A photo with a before/after divider and a heat map over it; pointing at it tells the kernel where.
// It also downloads files that the kernel sends.

const clamp = (x) => Math.max(0, Math.min(1, x));

function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "histcolor-photo";
  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  const [before, after, heat] = ["before", "after", "heat"].map((name) => {
    const image = document.createElement("img");
    image.className = name;
    image.draggable = false;
    frame.append(image);
    return image;
  });
  const cross = document.createElement("div");
  cross.className = "cross";
  const handle = document.createElement("div");
  handle.className = "divider";
  handle.tabIndex = 0;
  handle.setAttribute("role", "slider");
  handle.setAttribute("aria-label", "before and after: where the divider stands");
  handle.setAttribute("aria-valuemin", 0);
  handle.setAttribute("aria-valuemax", 100);
  frame.append(cross, handle);
  el.append(frame);

  let serial = 0;
  let at = null; // where the cross stands
  const urls = new Map();

  /** Shows bytes in an image; the old picture stays until the new one is decoded, so that nothing flickers. */
  async function show(image, name, type) {
    const view = model.get(name);
    const url = view?.byteLength ? URL.createObjectURL(new Blob([view], { type })) : null;
    const old = urls.get(image);
    urls.set(image, url);
    if (url) {
      const next = new Image();
      next.src = url;
      await next.decode().catch(() => {});
      if (urls.get(image) === url) image.src = url;
    }
    image.hidden = !url;
    if (name === "heat") frame.classList.toggle("heated", Boolean(url)); // all places are meant, not one
    if (old) URL.revokeObjectURL(old);
    if (name === "after" && url) {
      await image.decode().catch(() => {});
      frame.dataset.shown = model.get("version"); // which result is on the page
    }
  }
  const showBefore = () => show(before, "before", "image/jpeg");
  const showAfter = () => show(after, "after", "image/jpeg");
  const showHeat = () => show(heat, "heat", "image/jpeg");

  function place() {
    const x = model.get("divider"), divided = model.get("before")?.byteLength > 0;
    after.style.clipPath = divided ? `inset(0 0 0 ${100 * x}%)` : "none";
    handle.style.left = `clamp(13px, ${100 * x}%, 100% - 13px)`; // always whole, so that it can be seized
    handle.hidden = !divided;
    handle.setAttribute("aria-valuenow", Math.round(100 * x));
  }

  function describe() {
    const tool = model.get("tool");
    frame.style.cursor = tool === "pick" ? "crosshair" : tool === "look" ? "help" : "default";
    frame.setAttribute("aria-label", model.get("label"));
    after.alt = model.get("label");
    before.alt = heat.alt = "";
    if (tool !== "look") mark(null);
  }

  function send(name, [x, y]) {
    model.set(name, { x, y, serial: Date.now() * 1000 + (serial++ % 1000) });
    model.save_changes();
  }
  function mark(place) {
    at = place;
    if (at) [cross.style.left, cross.style.top] = at.map((part) => `${100 * part}%`);
    cross.hidden = !at;
  }
  const toPlace = (event) => {
    const box = frame.getBoundingClientRect();
    return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
  };

  // --- pointing ---

  frame.addEventListener("pointerdown", (event) => {
    if (event.target === handle || event.button) return;
    mark(null);
    if (["pick", "look"].includes(model.get("tool"))) send(model.get("tool"), toPlace(event));
  });
  frame.addEventListener("pointermove", (event) => {
    if (model.get("tool") !== "look" || handle.hasPointerCapture(event.pointerId)) return;
    mark(toPlace(event)); // stays when the pointer goes on to the plane, to see both
    send("look", at);
  });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  frame.addEventListener("keydown", (event) => {
    const tool = model.get("tool");
    if (event.target === handle || !["pick", "look"].includes(tool)) return;
    const [x, y] = at ?? [0.5, 0.5];
    if (arrows[event.key]) {
      const step = event.shiftKey ? 0.1 : 0.02;
      mark([clamp(x + step * arrows[event.key][0]), clamp(y + step * arrows[event.key][1])]);
      if (tool === "look") send("look", at);
    } else if (event.key === "Enter" || event.key === " ") send(tool, [x, y]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  frame.addEventListener("blur", () => mark(null));

  // --- divider ---

  function divide(x) {
    model.set("divider", clamp(x));
    model.save_changes();
  }
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) divide(toPlace(event)[0]);
  });
  handle.addEventListener("keydown", (event) => {
    const x = model.get("divider");
    const to = { ArrowLeft: x - 0.05, ArrowRight: x + 0.05, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    divide(to);
    event.preventDefault();
    event.stopPropagation();
  });

  // --- files ---

  function download(message, buffers) {
    if (message.kind !== "download") return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([buffers[0]], { type: message.type }));
    link.download = message.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  const handlers = [
    ["change:before", showBefore], ["change:after", showAfter], ["change:heat", showHeat],
    ["change:divider change:before", place], ["change:tool change:label", describe], ["msg:custom", download],
  ];
  for (const [names, handler] of handlers) model.on(names, handler);
  showBefore();
  showAfter();
  showHeat();
  place();
  describe();

  return () => {
    for (const [names, handler] of handlers) model.off(names, handler);
    for (const url of urls.values()) if (url) URL.revokeObjectURL(url);
  };
}

export default { render };

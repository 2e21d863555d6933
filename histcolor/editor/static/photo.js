// A photo with a before/after divider and an overlay; pointing at it tells the kernel where.
// It also downloads files that the kernel sends.

const fraction = (x) => limit(x, 0, 1);

async function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "histcolor-photo";
  frame.tabIndex = 0;
  frame.setAttribute("role", "application");
  const images = {};
  for (const name of ["before", "after", "heat"]) {
    images[name] = new Image();
    images[name].className = name;
    images[name].hidden = true;
    frame.append(images[name]);
  }
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
  const tools = await partOf(model, "tools");

  let at = null; // where the cross stands
  let divider = 0; // 0 shows only `after`, 1 only `before`
  const newest = {}; // of each image, the address that it has or gets

  /** Shows bytes in an image; the old picture stays until the new one is decoded, so that nothing flickers. */
  async function show(name) {
    const view = model.get(name), old = newest[name];
    const url = view?.byteLength ? URL.createObjectURL(new Blob([view])) : null;
    newest[name] = url;
    const next = new Image(), version = model.get("version");
    next.className = name;
    next.draggable = false;
    next.alt = name === "after" ? model.get("label") : "";
    next.hidden = !url;
    if (url) {
      next.src = url;
      await next.decode().catch(() => {});
    }
    if (old) URL.revokeObjectURL(old);
    if (newest[name] !== url) return; // a newer picture has overtaken this one
    images[name].replaceWith(next);
    images[name] = next;
    if (name === "heat") frame.classList.toggle("heated", Boolean(url)); // all places are meant, not one
    if (name === "after" && url) {
      frame.style.setProperty("--ratio", next.naturalWidth / next.naturalHeight);
      frame.dataset.shown = version; // which result is on the page
    }
    place();
  }

  function place() {
    const divided = model.get("before")?.byteLength > 0;
    images.after.style.clipPath = divided ? `inset(0 0 0 ${100 * divider}%)` : "none";
    handle.style.left = `clamp(13px, ${100 * divider}%, 100% - 13px)`; // always whole, so that it can be seized
    handle.hidden = !divided;
    handle.setAttribute("aria-valuenow", Math.round(100 * divider));
  }

  // --- pointing: what each tool does with a place [x, y] of the photo, as fractions ---

  const look = throttled(([x, y]) => model.send({ kind: "look", x, y }), 60);
  function lookAt(place) {
    mark(place); // stays when the pointer goes on to the plane, to see both
    look(place);
  }
  const pointing = {
    pick: { cursor: "crosshair", down: ([x, y]) => model.send({ kind: "pick", x, y, gray: x < divider }) },
    look: { cursor: "help", down: lookAt, move: lookAt },
  };
  const tool = () => (model.get("pointing").includes(chosen(tools)) ? pointing[chosen(tools)] : null);

  function mark(place) {
    at = place;
    if (at) [cross.style.left, cross.style.top] = at.map((part) => `${100 * part}%`);
    cross.hidden = !at;
  }
  const toPlace = (event) => {
    const box = frame.getBoundingClientRect();
    return [fraction((event.clientX - box.left) / box.width), fraction((event.clientY - box.top) / box.height)];
  };
  frame.addEventListener("pointerdown", (event) => {
    if (event.target === handle || event.button || !event.isPrimary) return;
    mark(null);
    tool()?.down?.(toPlace(event));
  });
  frame.addEventListener("pointermove", (event) => {
    if (event.isPrimary && !handle.hasPointerCapture(event.pointerId)) tool()?.move?.(toPlace(event));
  });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  frame.addEventListener("keydown", (event) => {
    if (event.target === handle || !tool()) return;
    const [x, y] = at ?? [0.5, 0.5];
    if (arrows[event.key]) {
      const step = event.shiftKey ? 0.1 : 0.02;
      mark([fraction(x + step * arrows[event.key][0]), fraction(y + step * arrows[event.key][1])]);
      tool().move?.(at);
    } else if (event.key === "Enter" || event.key === " ") tool().down?.([x, y]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  frame.addEventListener("blur", () => mark(null));

  // --- divider ---

  function divide(x) {
    divider = fraction(x);
    place();
  }
  handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
  handle.addEventListener("pointermove", (event) => {
    if (handle.hasPointerCapture(event.pointerId)) divide(toPlace(event)[0]);
  });
  handle.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: divider - 0.05, ArrowRight: divider + 0.05, Home: 0, End: 1 }[event.key];
    if (to === undefined) return;
    divide(to);
    event.preventDefault();
    event.stopPropagation();
  });

  // --- what the kernel says ---

  function told(message, buffers) {
    if (message.kind === "reset") divide(0);
    if (message.kind !== "download") return;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([buffers[0]], { type: message.type }));
    link.download = message.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
  function describe() {
    frame.style.cursor = tool()?.cursor ?? "default";
    frame.style.touchAction = tool() ? "none" : "pan-y"; // else a finger on the photo scrolls the page
    frame.setAttribute("aria-label", model.get("label"));
    if (chosen(tools) !== "look") mark(null);
  }
  const [before, after, heat] = ["before", "after", "heat"].map((name) => () => show(name));
  const end = listen(
    [model, "change:before", before], [model, "change:after", after], [model, "change:heat", heat],
    [model, "change:label", describe], [model, "msg:custom", told], [tools, "change:index", describe],
  );
  before();
  after();
  heat();
  describe();

  return () => {
    end();
    for (const url of Object.values(newest)) if (url) URL.revokeObjectURL(url);
  };
}

export default { render };

// A photo with a before/after divider, pins and an overlay; pointing at it tells the kernel where.
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
  const say = spoken(el);
  const tools = await partOf(model, "tools");

  let at = null; // where the cross stands
  let divider = 0; // 0 shows only `after`, 1 only `before`
  let carried = null; // { number, at }: a pin that is dragged or carried by keys; a new one has number 0
  let seen = null; // the bytes of the coloured photo on the page
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
      seen = view;
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

  /** The number of the pin that is drawn at a place, or 0. */
  const REACH = 12; // CSS pixels
  const apart = ([x, y], [u, v]) => Math.hypot((x - u) * frame.clientWidth, (y - v) * frame.clientHeight);
  function pinAt(place) {
    const far = model.get("pins").map((pin) => apart(pin, place)), nearest = Math.min(...far);
    return nearest <= REACH ? far.indexOf(nearest) + 1 : 0;
  }
  const follow = throttled((number, x, y) => model.send({ kind: "carry", number, x, y }), 150);
  function seize(place) {
    const number = pinAt(place);
    carried = { number, from: place, at: number ? model.get("pins")[number - 1].slice(0, 2) : place, moved: !number };
    drawPins();
  }
  function carry(place) {
    if (!carried) return;
    carried.moved ||= apart(carried.from, place) > 3;
    if (!carried.moved) return;
    carried.at = place;
    if (carried.number) follow(carried.number, ...place);
    drawPins();
  }
  function drop() {
    if (!carried) return;
    const { number, at: [x, y], moved } = carried, pins = model.get("pins").map((pin) => [...pin]);
    follow.drop();
    carried = null;
    removed = -ANSWER;
    model.send(moved ? { kind: "pin", number, x, y } : { kind: "hold", number });
    if (moved && number) pins[number - 1].splice(0, 2, x, y);
    else if (moved) pins.push([x, y, model.get("colour")]);
    model.set("pins", pins); // what is seen at once; the kernel's answer follows
    model.set("held", number || pins.length);
    drawPins();
  }
  let removed = -ANSWER; // when the last pin was: what the kernel then says of the chosen one may be older
  function remove() {
    const held = performance.now() - removed < ANSWER ? 0 : model.get("held");
    const number = carried?.number || (at && pinAt(at)) || held;
    follow.drop();
    carried = null;
    if (!number) return;
    removed = performance.now();
    model.send({ kind: "edit", tool: "unpin", number });
    model.set("pins", model.get("pins").filter((_, i) => i !== number - 1)); // else the next key removes another one
    model.set("held", 0);
    say(`pin ${number} removed`);
    drawPins();
  }
  function giveUp() {
    follow.drop();
    if (carried?.number && carried.moved) model.send({ kind: "carry" }); // of nothing: back to the pins as they are
    carried = null;
    drawPins();
  }
  function drawPins() {
    for (const old of frame.querySelectorAll(".pin")) old.remove();
    const pins = model.get("pins").map((pin) => [...pin]);
    if (carried?.number > pins.length) carried = null; // it was undone meanwhile
    if (carried?.number) pins[carried.number - 1].splice(0, 2, ...carried.at);
    else if (carried) pins.push([...carried.at, model.get("colour")]);
    pins.forEach(([x, y, colour], i) => {
      const ring = document.createElement("div");
      ring.className = "pin";
      ring.classList.toggle("held", i + 1 === (carried ? carried.number || pins.length : model.get("held")));
      Object.assign(ring.style, { left: `${100 * x}%`, top: `${100 * y}%`, background: colour });
      frame.append(ring);
    });
  }

  const pointing = {
    pick: { cursor: "crosshair", down: ([x, y]) => model.send({ kind: "pick", x, y, gray: x < divider }) },
    look: { cursor: "help", down: lookAt, move: lookAt },
    pin: { cursor: "crosshair", down: seize, move: carry, up: drop, cancel: giveUp },
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
    if (tool()?.up) frame.setPointerCapture(event.pointerId); // a drag goes on where the pointer leaves the photo
    tool()?.down?.(toPlace(event));
  });
  frame.addEventListener("pointerup", (event) => event.isPrimary && tool()?.up?.());
  frame.addEventListener("pointercancel", () => tool()?.cancel?.());
  frame.addEventListener("pointermove", (event) => {
    if (event.isPrimary && !handle.hasPointerCapture(event.pointerId)) tool()?.move?.(toPlace(event));
  });
  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  frame.addEventListener("keydown", (event) => {
    if (character(event)) event.stopPropagation();
    if (event.target === handle || foreign(event)) return;
    const [x, y] = at ?? [0.5, 0.5], key = event.key.toLowerCase(), command = event.ctrlKey || event.metaKey;
    const here = tool();
    if (here && arrows[event.key]) {
      const step = event.shiftKey ? 0.1 : 0.02;
      mark([fraction(x + step * arrows[event.key][0]), fraction(y + step * arrows[event.key][1])]);
      here.move?.(at);
      const pin = pinAt(at), percent = at.map((part) => Math.round(100 * part));
      say(`${pin ? `pin ${pin} of ${model.get("pins").length}, ` : ""}${percent[0]} % from the left, ${percent[1]} % from the top`);
    } else if (here && (event.key === "Enter" || event.key === " ")) {
      const begun = Boolean(carried);
      if (!begun && !event.repeat) here.down?.([x, y]);
      if (begun || !carried?.number) here.up?.(); // a pin is carried by the arrows until the next Enter
    } else if (event.key === "Escape" && carried) giveUp();
    else if (here === pointing.pin && (event.key === "Delete" || event.key === "Backspace")) remove();
    else if (command) model.send({ kind: "edit", tool: key === "y" || event.shiftKey ? "redo" : "undo" });
    else if (takeTool(tools, key)) say(chosen(tools));
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  frame.addEventListener("blur", () => {
    mark(null);
    if (carried) giveUp();
  });

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
    const step = { ArrowLeft: -0.05, ArrowDown: -0.05, ArrowRight: 0.05, ArrowUp: 0.05,
      PageDown: -0.2, PageUp: 0.2, Home: -1, End: 1 }[event.key];
    if (step === undefined || foreign(event)) return;
    divide(divider + step);
    event.preventDefault();
    event.stopPropagation();
  });

  // --- what the kernel says ---

  function told(message, buffers) {
    if (message.kind === "reset") divide(0);
    if (message.kind !== "download" || message.taken) return;
    message.taken = true; // by this view: the editor may be shown twice on a page
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([buffers[0]]));
    link.download = message.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }
  function describe() {
    frame.style.cursor = tool()?.cursor ?? "default";
    frame.classList.toggle("pointed", Boolean(tool())); // the divider leaves all but its knob to the tool
    frame.style.touchAction = tool() ? "none" : "pan-y"; // else a finger on the photo scrolls the page
    frame.setAttribute("aria-label", model.get("label"));
    if (chosen(tools) !== "look") mark(null);
    if (carried) giveUp();
  }
  function count() {
    if (model.get("after") === seen) frame.dataset.shown = model.get("version"); // the new picture equals the old one
  }
  const [before, after, heat] = ["before", "after", "heat"].map((name) => () => show(name));
  const end = listen(
    [model, "change:before", before], [model, "change:after", after], [model, "change:heat", heat],
    [model, "change:pins change:held change:colour", drawPins], [model, "change:version", count],
    [model, "change:label", describe], [model, "msg:custom", told], [tools, "change:index", describe],
  );
  before();
  after();
  heat();
  drawPins();
  describe();

  return () => {
    end();
    for (const url of Object.values(newest)) if (url) URL.revokeObjectURL(url);
  };
}

export default { render };

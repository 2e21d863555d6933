// The ab plane: draws the histogram in its own colours, takes brush strokes. No colour maths and no histogram maths
// here: the kernel sends what is to be drawn, and gets one edit at the end of a stroke.
//
// a runs to the right, b upwards, both over [-110, 110]; [a, b] ↔ canvas pixels in `toCanvas` and `toColour`.

const RANGE = 110;
const STEP = { fine: 2, coarse: 10 }; // units of ab that an arrow key moves the cross, alone and with Shift
const SPACING = 0.4; // of the radius, between the points of a stroke

const clamp = (x) => Math.max(-RANGE, Math.min(RANGE, x));

function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.className = "histcolor-plane";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  el.append(canvas);

  let stroke = null; // { tool, path } while the pointer is down or a move is carried by keys
  let cursor = null; // [a, b] under the pointer or the keys' cross
  let keys = false; // whether the cross is shown
  let colours = null; // the whole plane in its own colours, an image from the kernel
  let serial = 0;

  const toCanvas = ([a, b]) => {
    const scale = canvas.width / (2 * RANGE);
    return [(a + RANGE) * scale, (RANGE - b) * scale];
  };
  const toColour = (event) => {
    const box = canvas.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
    return [clamp((2 * x - 1) * RANGE), clamp((1 - 2 * y) * RANGE)];
  };
  const theme = (name, otherwise) => getComputedStyle(el).getPropertyValue(name).trim() || otherwise;

  // --- drawing ---

  /** A [side × side] map of bytes, a along its first axis, as the plane's colours under that alpha. */
  function layer(bytes, side) {
    const sheet = new OffscreenCanvas(side, side), context = sheet.getContext("2d");
    const pixels = context.createImageData(side, side);
    for (let i = 0; i < side; i++)
      for (let j = 0; j < side; j++) pixels.data[4 * ((side - 1 - j) * side + i) + 3] = bytes[i * side + j];
    context.putImageData(pixels, 0, 0);
    const large = new OffscreenCanvas(canvas.width, canvas.height), brush = large.getContext("2d");
    brush.imageSmoothingEnabled = false;
    brush.drawImage(sheet, 0, 0, canvas.width, canvas.height);
    brush.globalCompositeOperation = "source-in";
    brush.imageSmoothingEnabled = true;
    brush.drawImage(colours, 0, 0, canvas.width, canvas.height);
    return large;
  }

  const bytesOf = (name) => {
    const view = model.get(name);
    return view?.byteLength ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength) : null;
  };

  function lines(context, polylines, style, width) {
    context.strokeStyle = style;
    context.lineWidth = width * devicePixelRatio;
    for (const points of polylines) {
      context.beginPath();
      for (const point of points) context.lineTo(...toCanvas(point));
      context.stroke();
    }
  }

  function circle(context, at, radius, fill) {
    context.beginPath();
    context.arc(...toCanvas(at), Math.max(3 * devicePixelRatio, radius * canvas.width / (2 * RANGE)), 0, 7);
    fill ? context.fill() : context.stroke();
  }

  function draw() {
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!side || !colours) return; // hidden: drawn when it is seen again
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    const paper = theme("--jp-layout-color1", "#fff"), ink = theme("--jp-ui-font-color1", "#222");
    context.globalAlpha = 1;
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
    context.globalAlpha = 0.22; // where each colour lies, also where there is no mass
    context.drawImage(colours, 0, 0, side, side);
    context.globalAlpha = 1;

    const glow = bytesOf("glow");
    const mass = bytesOf("mass");
    context.globalAlpha = glow ? 0.25 : 1;
    if (mass) context.drawImage(layer(mass, model.get("bins")), 0, 0);
    context.globalAlpha = 1;
    if (glow) context.drawImage(layer(glow, Math.sqrt(glow.length)), 0, 0);

    context.globalAlpha = 0.35;
    lines(context, [[[-RANGE, 0], [RANGE, 0]], [[0, -RANGE], [0, RANGE]]], ink, 0.75);
    context.fillStyle = ink;
    context.font = `${12 * devicePixelRatio}px ${theme("--jp-ui-font-family", "sans-serif")}`;
    context.globalAlpha = 0.8;
    const [right, middle] = toCanvas([RANGE, 0]), [centre, top] = toCanvas([0, RANGE]), gap = 5 * devicePixelRatio;
    context.textAlign = "right";
    context.fillText("a", right - gap, middle - gap);
    context.textAlign = "left";
    context.fillText("b", centre + gap, top + 3 * gap);
    context.globalAlpha = 0.6;
    context.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    lines(context, model.get("gamut"), ink, 1);
    context.setLineDash([]);
    context.globalAlpha = 1;
    lines(context, model.get("achieved"), paper, 3.5);
    lines(context, model.get("achieved"), ink, 1.5);
    if (stroke) preview(context, paper, ink);
    pointer(context, paper, ink);
  }

  /** What the stroke will do, drawn at once; the kernel's histogram follows when the pointer is up. */
  function preview(context, paper, ink) {
    const radius = model.get("radius"), { tool, path } = stroke;
    if (tool === "paint") context.fillStyle = context.createPattern(painted(), "no-repeat");
    if (tool === "erase") context.fillStyle = paper;
    if (tool !== "move") {
      for (const point of path) circle(context, point, tool === "paint" ? radius * 0.7 : radius, true);
      context.globalAlpha = 1;
    } else {
      const [start, end] = [path[0], path[path.length - 1]];
      context.strokeStyle = ink;
      context.lineWidth = 1.5 * devicePixelRatio;
      circle(context, start, radius, false);
      lines(context, [[start, end]], ink, 1.5);
    }
  }

  function painted() {
    const sheet = new OffscreenCanvas(canvas.width, canvas.height);
    sheet.getContext("2d").drawImage(colours, 0, 0, canvas.width, canvas.height);
    return sheet;
  }

  function pointer(context, paper, ink) {
    const mark = model.get("mark");
    for (const [at, radius] of [[cursor, model.get("radius")], [mark.length ? mark : null, 4]]) {
      if (!at) continue;
      for (const [style, width] of [[paper, 3.5], [ink, 1.5]]) {
        context.strokeStyle = style;
        context.lineWidth = width * devicePixelRatio;
        circle(context, at, radius, false);
        if (at !== cursor || keys) {
          const [a, b] = at;
          lines(context, [[[a - 4, b], [a + 4, b]], [[a, b - 4], [a, b + 4]]], style, width);
        }
      }
    }
  }

  // --- strokes ---

  function send(name, value) {
    model.set(name, { ...value, serial: Date.now() * 1000 + (serial++ % 1000) }); // two equal edits are two
    model.save_changes();
  }

  function begin(at) {
    const tool = model.get("tool");
    if (tool === "look") send("look", { ab: at });
    if (["paint", "erase", "move"].includes(tool)) stroke = { tool, path: [at] };
    draw();
  }

  function go(at) {
    cursor = at;
    if (stroke) {
      const [a, b] = stroke.path[stroke.path.length - 1];
      if (Math.hypot(at[0] - a, at[1] - b) >= SPACING * model.get("radius")) stroke.path.push(at);
    } else if (model.get("tool") === "look") send("look", { ab: at });
    draw();
  }

  function end(at) {
    if (!stroke) return;
    const { tool, path } = stroke, radius = model.get("radius");
    stroke = null;
    if (tool === "move") send("edit", { tool, start: path[0], end: at, radius });
    else send("edit", { tool, path, radius, strength: model.get("strength") });
    draw();
  }

  function cancel() {
    stroke = null;
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    keys = false;
    cursor = toColour(event);
    begin(cursor);
  });
  canvas.addEventListener("pointermove", (event) => {
    keys = false;
    go(toColour(event));
  });
  canvas.addEventListener("pointerup", (event) => end(toColour(event)));
  canvas.addEventListener("pointercancel", cancel);
  canvas.addEventListener("pointerleave", () => {
    if (!keys) cursor = null;
    draw();
  });
  // only while the plane has the focus, so that a wheel over it still scrolls the page for those who pass by
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && el.getRootNode().activeElement !== canvas) return;
    event.preventDefault();
    const factor = Math.exp(-Math.sign(event.deltaY || event.deltaX) * 0.12);
    scale(event.shiftKey ? "strength" : "radius", factor);
  }, { passive: false });

  function scale(name, factor) {
    const [low, high] = name === "radius" ? [2, 60] : [0.01, 1];
    model.set(name, Math.max(low, Math.min(high, model.get(name) * factor)));
    model.save_changes();
    draw();
  }

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const presses = { "[": ["radius", 1 / 1.15], "]": ["radius", 1.15], "-": ["strength", 1 / 1.15], "+": ["strength", 1.15] };
  const tools = { p: "paint", e: "erase", m: "move", c: "pick", l: "look" };

  canvas.addEventListener("keydown", (event) => {
    const { key } = event, at = cursor ?? [0, 0], command = event.ctrlKey || event.metaKey;
    if (arrows[key]) {
      const step = event.shiftKey ? STEP.coarse : STEP.fine;
      keys = true;
      go([clamp(at[0] + step * arrows[key][0]), clamp(at[1] + step * arrows[key][1])]);
    } else if (key === "Enter" || key === " ") {
      keys = true;
      cursor = at;
      if (stroke) end(at);
      else begin(at);
      if (stroke && stroke.tool !== "move") end(at); // a move is carried by the arrows until the next Enter
    } else if (key === "Escape") cancel();
    else if (command && key.toLowerCase() === "z") send("edit", { tool: event.shiftKey ? "redo" : "undo" });
    else if (command && key.toLowerCase() === "y") send("edit", { tool: "redo" });
    else if (presses[key]) scale(...presses[key]);
    else if (tools[key] && !command) {
      model.set("tool", tools[key]);
      model.save_changes();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has shortcuts of its own on these keys
  });
  canvas.addEventListener("blur", () => {
    keys = false;
    cursor = null;
    cancel();
  });

  // --- what changes it ---

  async function recolour() {
    const bytes = bytesOf("colours");
    if (!bytes) return;
    colours = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    draw();
  }

  function describe() {
    const tool = model.get("tool");
    canvas.style.cursor = tool === "look" ? "help" : tool === "pick" ? "not-allowed" : "crosshair";
    canvas.setAttribute("aria-label", model.get("label"));
  }

  const names = ["mass", "glow", "gamut", "achieved", "mark", "radius", "strength"];
  const changes = names.map((name) => `change:${name}`).join(" ");
  model.on(changes, draw);
  model.on("change:colours", recolour);
  model.on("change:tool change:label", describe);
  // A canvas that was hidden, moved, or zoomed has to be drawn again: JupyterLab hides cells that are scrolled away
  const sizes = new ResizeObserver(draw), seen = new IntersectionObserver(draw);
  const restyle = new MutationObserver(draw);
  sizes.observe(canvas);
  seen.observe(canvas);
  restyle.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "class"] });
  describe();
  recolour();

  return () => {
    for (const observer of [sizes, seen, restyle]) observer.disconnect();
    model.off(changes, draw);
    model.off("change:colours", recolour);
    model.off("change:tool change:label", describe);
  };
}

export default { render };

// The ab plane: draws the histogram in its own colours, takes brush strokes. No colour maths and no histogram maths
// here: the kernel sends what is to be drawn, and gets one edit at the end of a stroke.
//
// a runs to the right, b upwards, both over [-110, 110]; [a, b] ↔ canvas pixels in `toCanvas` and `toColour`.

const RANGE = 110;
const STEP = { fine: 2, coarse: 10 }; // units of ab that an arrow key moves the cross, alone and with Shift
const SPACING = 0.4; // of the radius, between the points of a stroke

const PATH = { preview: 64, edit: 256 }; // points of a stroke that are sent at most

const clamp = (x) => limit(x, -RANGE, RANGE);

/** A path with at most `most` of its points, its ends among them. */
const thinned = (path, most) => path.length <= most ? path
  : Array.from({ length: most }, (_, i) => path[Math.round((i * (path.length - 1)) / (most - 1))]);

async function render({ model, el }) {
  const canvas = document.createElement("canvas");
  canvas.className = "histcolor-plane";
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  el.append(canvas);
  const say = spoken(el);
  const [tools, radius, strength] = await Promise.all(["tools", "radius", "strength"].map((name) => partOf(model, name)));
  const brush = () => radius.get("value");

  let stroke = null; // { tool, path } while the pointer is down or a move is carried by keys
  let cursor = null; // [a, b] under the pointer or the keys' cross
  let rested = [0, 0]; // where the keys' cross was last
  let keys = false; // whether the cross is shown
  let colours = null; // the whole plane in its own colours, an image from the kernel
  let sheet = null; // it at the canvas's size
  let shown = null, shownMass = null; // the histogram at the canvas's size, and the bytes it was drawn from

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

  /** A canvas of the plane's size. */
  function fresh() {
    const made = new OffscreenCanvas(canvas.width, canvas.height);
    return [made, made.getContext("2d")];
  }

  /** The histogram as the plane's colours under an alpha: its bytes are [side × side], a along the first axis. */
  function layer(view, side) {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    const small = new OffscreenCanvas(side, side), context = small.getContext("2d");
    const pixels = context.createImageData(side, side);
    for (let i = 0; i < side; i++)
      for (let j = 0; j < side; j++) pixels.data[4 * ((side - 1 - j) * side + i) + 3] = bytes[i * side + j];
    context.putImageData(pixels, 0, 0);
    const [large, brush] = fresh();
    brush.imageSmoothingEnabled = false;
    brush.drawImage(small, 0, 0, canvas.width, canvas.height);
    brush.globalCompositeOperation = "source-in";
    brush.drawImage(sheet, 0, 0);
    return large;
  }

  /** What is large and changes seldom is drawn once. */
  function prepare(side) {
    if (!sheet || canvas.width !== side) {
      canvas.width = canvas.height = side;
      let brush;
      [sheet, brush] = fresh();
      brush.drawImage(colours, 0, 0, side, side);
      shownMass = null;
    }
    const mass = model.get("mass");
    if (mass !== shownMass) shown = mass?.byteLength ? layer(mass, model.get("bins")) : null;
    shownMass = mass;
  }

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
    if (fill !== null) fill ? context.fill() : context.stroke(); // null: only the path, for clipping
  }

  let frame = 0; // the request for the next frame, while there is one

  /** Draws before the next frame, once for all that changes until then. */
  function draw() {
    frame ||= requestAnimationFrame(drawNow);
  }

  function drawNow() {
    frame = 0;
    const side = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!side || !colours) return; // hidden: drawn when it is seen again
    prepare(side);
    const context = canvas.getContext("2d");
    const paper = theme("--jp-layout-color1", "#fff"), ink = theme("--jp-ui-font-color1", "#222");
    context.globalAlpha = 1;
    context.fillStyle = paper;
    context.fillRect(0, 0, side, side);
    context.globalAlpha = 0.22; // where each colour lies, also where there is no mass
    context.drawImage(sheet, 0, 0);
    context.globalAlpha = 1;
    if (shown) context.drawImage(shown, 0, 0);

    context.globalAlpha = 0.35;
    lines(context, [[[-RANGE, 0], [RANGE, 0]], [[0, -RANGE], [0, RANGE]]], ink, 0.75);
    context.fillStyle = ink;
    context.font = `${12 * devicePixelRatio}px ${theme("--jp-ui-font-family", "sans-serif")}`;
    context.globalAlpha = 0.8;
    const gap = 6 * devicePixelRatio, middle = side / 2;
    write(context, "green", [gap, middle - gap], "left");
    write(context, "red · a", [side - gap, middle - gap], "right");
    write(context, "yellow · b", [middle + gap, 2.5 * gap], "left");
    write(context, "blue", [middle + gap, side - gap], "left");
    context.globalAlpha = 0.6;
    context.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    lines(context, model.get("gamut"), ink, 1);
    context.setLineDash([]);
    context.globalAlpha = 1;
    lines(context, model.get("achieved"), paper, 3.5);
    lines(context, model.get("achieved"), ink, 1.5);
    if (model.get("fresh") && !stroke) example(context, paper, ink);
    if (stroke) preview(context, paper, ink);
    rings(context, paper, ink);
    pointer(context, paper, ink);
  }

  function write(context, text, at, align, halo) {
    context.textAlign = align;
    if (halo) {
      context.lineWidth = 4 * devicePixelRatio;
      context.lineJoin = "round";
      context.strokeStyle = halo;
      context.strokeText(text, ...at);
    }
    context.fillText(text, ...at);
  }

  /** A stroke that could be painted, for those who see the editor for the first time. */
  function example(context, paper, ink) {
    const path = Array.from({ length: 25 }, (_, i) => [-78 + 2.4 * i, -62 + 9 * Math.sin(i / 4)]);
    context.setLineDash([2 * devicePixelRatio, 5 * devicePixelRatio]);
    context.lineCap = "round";
    for (const [style, width] of [[paper, 6], [ink, 2.5]]) lines(context, [path], style, width);
    context.setLineDash([]);
    context.fillStyle = ink;
    const hint = "drag to paint a colour", [x, y] = toCanvas([-50, -84]);
    write(context, hint, [Math.max(x, context.measureText(hint).width / 2 + 4 * devicePixelRatio), y], "center", paper);
  }

  /** The colours that a place looks at, each with its share. */
  function rings(context, paper, ink) {
    for (const [a, b, size, share] of model.get("rings")) {
      for (const [style, width] of [[paper, 4], [ink, 2]]) {
        context.strokeStyle = style;
        context.lineWidth = width * devicePixelRatio;
        circle(context, [a, b], size, false);
      }
      context.fillStyle = ink;
      const [x, y] = toCanvas([a + (a > 70 ? -size - 2 : size + 2), b]);
      write(context, `${Math.round(100 * share)} %`, [x, y + 4 * devicePixelRatio], a > 70 ? "right" : "left", paper);
    }
  }

  /** What the stroke will do, drawn at once; the kernel's histogram follows when the pointer is up. */
  function preview(context, paper, ink) {
    const { tool, path } = stroke;
    if (tool === "paint") context.fillStyle = context.createPattern(sheet, "no-repeat");
    if (tool === "erase") context.fillStyle = paper;
    if (tool !== "move") for (const point of path) circle(context, point, tool === "paint" ? brush() * 0.7 : brush(), true);
    else {
      const [start, end] = [path[0], path[path.length - 1]], [from, to] = [toCanvas(start), toCanvas(end)];
      context.fillStyle = paper;
      context.globalAlpha = 0.75;
      circle(context, start, brush(), true);
      context.globalAlpha = 1;
      if (shown) { // the blob, where it will land
        context.save();
        circle(context, end, brush(), null);
        context.clip();
        context.drawImage(shown, to[0] - from[0], to[1] - from[1]);
        context.restore();
      }
      context.strokeStyle = ink;
      context.lineWidth = 1.5 * devicePixelRatio;
      circle(context, start, brush(), false);
      circle(context, end, brush(), false);
      lines(context, [[start, end]], ink, 1.5);
    }
  }

  function pointer(context, paper, ink) {
    const mark = model.get("mark");
    for (const [at, radius] of [[cursor, brush()], [mark.length ? mark : null, 4]]) {
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

  const send = (action) => model.send({ kind: "edit", ...action });
  const look = throttled((ab) => model.send({ kind: "look", ab }), 60);
  const previews = throttled((action) => model.send({ kind: "preview", ...action }), 150);

  function action(most) {
    const { tool, path } = stroke;
    if (tool === "move") return { tool, start: path[0], end: path[path.length - 1], radius: brush() };
    return { tool, path: thinned(path, most), radius: brush(), strength: strength.get("value") };
  }

  function begin(at) {
    const tool = chosen(tools);
    if (tool === "look") look(at);
    if (tool === "pin") model.send({ kind: "colour", ab: at });
    if (["paint", "erase", "move"].includes(tool)) stroke = { tool, path: [at] };
    draw();
  }

  function go(at) {
    cursor = at;
    if (stroke) {
      const { path } = stroke, [a, b] = path[path.length - 1];
      if (stroke.tool === "move") path[1] = at;
      else if (Math.hypot(at[0] - a, at[1] - b) >= SPACING * brush()) path.push(at);
      if (path.length > 1) previews(action(PATH.preview));
    } else if (chosen(tools) === "look") look(at);
    draw();
  }

  function end(at) {
    if (!stroke) return;
    if (stroke.tool === "move") stroke.path[1] = at;
    previews.drop();
    send(action(PATH.edit));
    stroke = null;
    draw();
  }

  function cancel() {
    if (stroke?.path.length > 1) {
      previews.drop();
      model.send({ kind: "preview" }); // of nothing: back to the target histogram
    }
    stroke = null;
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !event.isPrimary) return; // a second finger paints nothing
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    keys = false;
    cursor = toColour(event);
    begin(cursor);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.isPrimary) return;
    keys = false;
    go(toColour(event));
  });
  canvas.addEventListener("pointerup", (event) => event.isPrimary && end(toColour(event)));
  canvas.addEventListener("pointercancel", cancel);
  canvas.addEventListener("pointerleave", () => {
    if (!keys) cursor = null;
    draw();
  });
  // only while the plane has the focus, so that a wheel over it still scrolls the page for those who pass by
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas && el.getRootNode().activeElement !== canvas) return;
    if (event.ctrlKey || event.metaKey) return; // the browser zooms
    event.preventDefault();
    // a notch of a wheel is some 100 pixels, or 3 lines; a trackpad sends many small parts of one
    const pixels = limit((event.deltaY || event.deltaX) * (event.deltaMode ? 33 : 1), -100, 100);
    scale(event.shiftKey ? strength : radius, Math.exp(-0.0012 * pixels));
  }, { passive: false });

  const scaled = new Map(); // for each slider: the value that it was given last, when, and how it is sent
  function scale(slider, factor) {
    const last = scaled.get(slider) ?? { send: throttled((value) => slider.send({ kind: "slide", value }), 60), at: -ANSWER };
    const now = performance.now(), from = now - last.at < ANSWER ? last.value : slider.get("value");
    const value = limit(from * factor, slider.get("low"), slider.get("high"));
    scaled.set(slider, { ...last, value, at: now });
    slider.set("value", value);
    last.send(value);
  }

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const presses = { "[": [radius, 1 / 1.15], "]": [radius, 1.15], "-": [strength, 1 / 1.15], "+": [strength, 1.15] };
  const round = (x) => String(Math.round(x)).replace("-", "minus ");

  canvas.addEventListener("keydown", (event) => {
    if (character(event)) event.stopPropagation();
    if (foreign(event)) return;
    const { key } = event, at = cursor ?? rested, command = event.ctrlKey || event.metaKey;
    if (arrows[key]) {
      const step = event.shiftKey ? STEP.coarse : STEP.fine;
      keys = true;
      go([clamp(at[0] + step * arrows[key][0]), clamp(at[1] + step * arrows[key][1])]);
    } else if (key === "Enter" || key === " ") {
      keys = true;
      cursor = at;
      if (stroke) end(at);
      else if (!event.repeat) begin(at);
      if (stroke && stroke.tool !== "move") end(at); // a move is carried by the arrows until the next Enter
    } else if (key === "Escape") cancel();
    else if (command && key.toLowerCase() === "z") send({ tool: event.shiftKey ? "redo" : "undo" });
    else if (command && key.toLowerCase() === "y") send({ tool: "redo" });
    else if (presses[key]) scale(...presses[key]);
    else if (command || !takeTool(tools, key)) return;
    const [a, b] = cursor ?? rested;
    say(`${chosen(tools)}: a ${round(a)}, b ${round(b)}, brush ${round(brush())}`);
    event.preventDefault();
    event.stopPropagation(); // JupyterLab has shortcuts of its own on these keys
  });
  canvas.addEventListener("focus", () => {
    keys = canvas.matches(":focus-visible");
    if (keys) cursor = rested;
    draw();
  });
  canvas.addEventListener("blur", () => {
    if (keys && cursor) rested = cursor;
    keys = false;
    cursor = null;
    cancel();
  });

  // --- what changes it ---

  async function recolour() {
    const bytes = model.get("colours");
    if (!bytes?.byteLength) return;
    colours = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    sheet = null;
    draw();
  }

  function describe() {
    const tool = chosen(tools);
    canvas.style.cursor = tool === "look" ? "help" : tool === "pick" ? "not-allowed" : "crosshair";
    canvas.setAttribute("aria-label", model.get("label"));
  }

  const changes = ["mass", "gamut", "achieved", "mark", "rings", "fresh"].map((name) => `change:${name}`).join(" ");
  const off = listen(
    [model, changes, draw], [radius, "change:value", draw], [model, "change:colours", recolour],
    [model, "change:label", describe], [tools, "change:index", describe],
  );
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
    cancelAnimationFrame(frame);
    off();
  };
}

export default { render };

// A slider with a number beside it. Only what the user does is sent; a value that the kernel sets is only shown.

function render({ model, el }) {
  const row = document.createElement("label"), name = document.createElement("span");
  row.className = "histcolor-slider";
  row.title = model.get("tip");
  name.textContent = model.get("name");
  const [range, number] = ["range", "number"].map((type) => {
    const input = document.createElement("input");
    Object.assign(input, { type, min: model.get("low"), max: model.get("high"), step: model.get("step") });
    input.setAttribute("aria-label", model.get("name"));
    return input;
  });
  row.append(name, range, number);
  el.append(row);

  let held = false; // while it is dragged, the answers of the kernel lag behind the hand,
  let pressed = 0; // and so they do after each key: the timer until they are heard again
  const send = throttled((value) => model.send({ kind: "slide", value }), 60);
  function write(value) {
    range.value = value;
    number.value = Number(value.toFixed(model.get("digits")));
  }
  function show() {
    if (!held && !pressed) write(model.get("value"));
  }
  function listenLater() {
    clearTimeout(pressed);
    pressed = setTimeout(() => {
      pressed = 0;
      show();
    }, ANSWER);
  }
  function slide(text) {
    const value = Number(text);
    if (text === "" || Number.isNaN(value)) return show();
    const nearest = limit(value, model.get("low"), model.get("high"));
    model.set("value", nearest); // for the plane; the kernel's answer follows
    send(nearest);
    if (!held) {
      write(nearest);
      listenLater();
    }
  }
  range.addEventListener("pointerdown", () => { held = true; });
  for (const name of ["pointerup", "pointercancel", "change", "blur"])
    range.addEventListener(name, () => {
      held = false;
      show(); // what the kernel said meanwhile
    });
  range.addEventListener("input", () => {
    number.value = range.value;
    slide(range.value);
  });
  number.addEventListener("change", () => slide(number.value));
  for (const input of [range, number]) input.addEventListener("keydown", (event) => event.stopPropagation());
  show();
  const end = listen([model, "change:value", show]);
  return () => {
    end();
    clearTimeout(pressed);
  };
}

export default { render };

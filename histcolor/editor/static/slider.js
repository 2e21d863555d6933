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

  let held = false; // while it is dragged, the answers of the kernel lag behind the hand
  const send = throttled((value) => model.send({ kind: "slide", value }), 60);
  function show() {
    if (held) return;
    range.value = model.get("value");
    number.value = Number(model.get("value").toFixed(model.get("digits")));
  }
  function slide(text) {
    const value = Number(text);
    if (text === "" || Number.isNaN(value)) return show();
    model.set("value", limit(value, model.get("low"), model.get("high"))); // for the plane; the kernel's answer follows
    send(model.get("value"));
    show(); // a number out of the slider's range becomes the nearest one in it
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
  return listen([model, "change:value", show]);
}

export default { render };

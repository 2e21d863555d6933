// A row of buttons with pictures; the kernel gets the name of the one that is pressed.

function render({ model, el }) {
  el.classList.add("histcolor-strip");
  for (const { name, tip, background } of model.get("items")) {
    const button = document.createElement("button");
    button.className = "jupyter-button";
    button.title = tip;
    button.setAttribute("aria-label", name);
    if (background) button.style.background = background;
    else button.textContent = name;
    button.addEventListener("click", () => model.send({ kind: "start", name }));
    el.append(button);
  }
}

export default { render };

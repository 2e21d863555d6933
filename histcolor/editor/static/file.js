// A button that sends a file to the kernel, in pieces: a server refuses messages of more than 10 MB.

const PIECE = 4 * 2 ** 20;

function render({ model, el }) {
  const input = document.createElement("input"), button = document.createElement("button");
  Object.assign(input, { type: "file", accept: model.get("accept"), hidden: true });
  button.className = "jupyter-button widget-button histcolor-file";
  button.title = model.get("tip");
  button.addEventListener("click", () => input.click());
  input.addEventListener("change", async () => {
    const [file] = input.files;
    if (!file) return;
    if (file.size > model.get("most")) model.send({ kind: "refused", name: file.name, size: file.size });
    else {
      const pieces = Math.max(1, Math.ceil(file.size / PIECE));
      for (let piece = 0; piece < pieces; piece++) {
        const bytes = await file.slice(piece * PIECE, (piece + 1) * PIECE).arrayBuffer();
        model.send({ kind: "file", name: file.name, piece, pieces }, undefined, [bytes]);
      }
    }
    input.value = ""; // so that the same file can be chosen again
  });
  function describe() {
    const held = model.get("held");
    button.textContent = held ? `${model.get("name")}: ${held}` : `${model.get("name")} …`;
  }
  el.append(button, input);
  describe();
  return listen([model, "change:held", describe]);
}

export default { render };

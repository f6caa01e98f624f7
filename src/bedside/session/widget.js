// Draws a slice with its objects and tells the kernel what was clicked. See bedside/session/widget.py.

const STYLE = `
.bedside { font: 13px system-ui, sans-serif; display: flex; gap: 12px; align-items: flex-start; }
.bedside canvas { image-rendering: pixelated; cursor: crosshair; background: #000; width: 480px; }
.bedside button, .bedside select { margin: 0 4px 4px 0; }
.bedside li { cursor: pointer; list-style: none; padding: 2px 4px; }
.bedside li.current { font-weight: 600; }
.bedside ul { margin: 6px 0; padding: 0; }
.bedside .dot { display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 5px; }
.bedside .said { color: #b3261e; max-width: 280px; }
`;

const AXES = ["first axis", "second axis", "third axis"];

function bytes(value) {
  return value ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : new Uint8Array();
}

function make(parent, name, properties = {}) {
  const made = Object.assign(document.createElement(name), properties);
  parent.append(made);
  return made;
}

function draw(canvas, model) {
  const { size, pixel, channels } = model.get("view");
  const [rows, columns] = size;
  const picture = bytes(model.get("picture"));
  const seen = bytes(model.get("seen"));
  if (picture.length !== rows * columns * channels || seen.length !== rows * columns) {
    return; // The rest of a slice is still on its way.
  }
  const colours = model.get("objects").map((one) => [1, 3, 5].map((at) => parseInt(one.colour.slice(at, at + 2), 16)));
  canvas.width = columns;
  canvas.height = rows;
  canvas.style.aspectRatio = `${columns * pixel[1]} / ${rows * pixel[0]}`;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let at = 0; at < seen.length; at++) {
    const colour = colours[seen[at] - 1];
    for (let channel = 0; channel < 3; channel++) {
      const grey = picture[channels === 3 ? at * 3 + channel : at];
      image.data[at * 4 + channel] = colour ? 0.55 * grey + 0.45 * colour[channel] : grey;
    }
    image.data[at * 4 + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

function render({ model, el }) {
  make(el, "style", { textContent: STYLE });
  const whole = make(el, "div", { className: "bedside" });
  const left = make(whole, "div");
  const canvas = make(left, "canvas");
  const slider = make(make(left, "div"), "input", { type: "range", min: "0", style: "width: 480px" });
  const right = make(whole, "div");
  const axis = make(right, "select");
  AXES.forEach((text, value) => make(axis, "option", { value: String(value), textContent: text }));
  for (const [text, asked] of [
    ["Undo", "undo"],
    ["Redo", "redo"],
    ["New object", "object"],
  ]) {
    make(right, "button", { textContent: text, onclick: () => model.send({ do: asked }) });
  }
  const list = make(right, "ul");
  make(right, "div", { textContent: "Click: on the object. Shift or the right button: not the object. Not a medical device." });
  const said = make(right, "div", { className: "said" });

  const turn = (index) => model.send({ do: "turn", axis: model.get("view").axis, index });
  const click = (event, positive) => {
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const column = ((event.clientX - box.left) / box.width) * canvas.width - 0.5;
    const row = ((event.clientY - box.top) / box.height) * canvas.height - 0.5;
    model.send({ do: "click", column, row, positive });
  };
  canvas.addEventListener("click", (event) => click(event, !event.shiftKey));
  canvas.addEventListener("contextmenu", (event) => click(event, false));
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (model.get("view").count > 1) {
        event.preventDefault();
        turn(model.get("view").index + Math.sign(event.deltaY));
      }
    },
    { passive: false },
  );
  slider.addEventListener("input", () => turn(Number(slider.value)));
  axis.addEventListener("change", () => model.send({ do: "turn", axis: Number(axis.value) }));

  const show = () => {
    const view = model.get("view");
    draw(canvas, model);
    slider.max = String(view.count - 1);
    slider.value = String(view.index);
    slider.hidden = axis.hidden = view.axis === null;
    axis.value = String(view.axis);
    said.textContent = model.get("said");
    list.replaceChildren();
    for (const one of model.get("objects")) {
      const line = make(list, "li", { className: one.current ? "current" : "" });
      make(line, "span", { className: "dot", style: `background: ${one.colour}` });
      const grade = one.grade === null ? "" : `, ${one.grade}`;
      line.append(`${one.name}: ${one.voxels} voxels${grade}`);
      line.addEventListener("click", () => model.send({ do: "select", id: one.id }));
    }
  };
  const names = ["view", "picture", "seen", "objects", "said"].map((name) => `change:${name}`);
  names.forEach((name) => model.on(name, show));
  show();
  return () => names.forEach((name) => model.off(name, show));
}

export default { render };

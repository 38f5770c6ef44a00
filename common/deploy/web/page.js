/* The page "A compressed network at work": needs dcz.js, damage.js and networks.js (written by
 * `dnnc export --web`), which holds COMPRESSED_NETWORKS: for each role, "digits" and "pictures", the file's name,
 * its classes, the normalization of its pixels, and its bytes as base64. */
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const BYTE_KINDS = {
    file: "names, lengths, digest", header: "shapes and sizes", codebook: "codebooks (shared values)",
    table: "Huffman code lengths", values: "values (which shared value)", index: "positions (which weights are kept)",
    dense: "tensors stored as they are", padding: "padding to whole bytes", checksum: "checksums",
  };
  const MAX_PICTURE = 2048; // pixels a side; a larger photograph is first drawn smaller, to save memory
  const PAPER = 280;
  const PEN = 22; // width of a stroke on the paper: about 1.6 pixels of the network's 28

  const files = typeof COMPRESSED_NETWORKS === "undefined" ? {} : COMPRESSED_NETWORKS;
  const opened = {}; // by role: {bytes, model, network, ...}
  let role = "digits";
  const inputs = { digits: null, pictures: null }; // what was last shown: normalized pixels

  // ------------------------------------------------------------------------------------- the networks

  function bytesFromBase64(text) {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  }

  /** The network of a role, decoded when it is first wanted. */
  function open(which) {
    if (!opened[which]) {
      const start = performance.now();
      const bytes = bytesFromBase64(files[which].base64);
      const fields = [];
      const model = DCZ.load(bytes, { fields });
      const network = DCZ.network(model);
      opened[which] = { ...files[which], bytes, model, network, fields, milliseconds: performance.now() - start };
    }
    return opened[which];
  }

  /** Show the probabilities for what was drawn or shown. */
  function answer() {
    const { network, classes, milliseconds } = open(role);
    const input = inputs[role];
    const start = performance.now();
    const logits = input ? DCZ.forward(network, input) : null;
    const probabilities = logits ? DCZ.softmax(logits) : classes.map(() => 0);
    const elapsed = performance.now() - start;
    const best = input ? probabilities.indexOf(Math.max(...probabilities)) : -1;
    byId("verdict").textContent = input ? `${classes[best]}: ${percent(probabilities[best])}` : "Nothing to see yet";
    byId("bars").replaceChildren(...classes.map((name, i) => bar(name, probabilities[i], i === best, input)));
    byId("bars").dataset.logits = logits ? JSON.stringify(Array.from(logits)) : ""; // for whoever wants the numbers
    byId("timing").textContent = input
      ? `Decoded in ${milliseconds.toFixed(0)} ms, answered in ${elapsed.toFixed(0)} ms, on this device.`
      : `Decoded in ${milliseconds.toFixed(0)} ms.`;
  }

  function bar(name, probability, isBest, isShown) {
    const item = element("li", isBest ? "best" : "");
    const track = element("div", "track");
    const fill = element("div", "fill");
    fill.style.width = `${100 * probability}%`;
    track.append(fill);
    item.append(element("span", "", name), track, element("span", "number", isShown ? percent(probability) : "–"));
    return item;
  }

  function percent(fraction) {
    return `${(100 * fraction).toFixed(1)} %`;
  }

  function element(tag, className = "", text = "") {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  function count(number) {
    return number.toLocaleString("en");
  }

  // ------------------------------------------------------------------------------------- drawn digits

  const paper = byId("paper");
  const ink = paper.getContext("2d", { willReadFrequently: true });
  const pen = { x: PAPER / 2, y: PAPER / 2, isDown: false };
  let isEmpty = true;

  function clearPaper() {
    ink.fillStyle = "#ffffff";
    ink.fillRect(0, 0, PAPER, PAPER);
    isEmpty = true;
    showDigit();
  }

  function stroke(x0, y0, x1, y1) {
    ink.strokeStyle = "#000000";
    ink.lineWidth = PEN;
    ink.lineCap = "round";
    ink.beginPath();
    ink.moveTo(x0, y0);
    ink.lineTo(x1, y1);
    ink.stroke();
    isEmpty = false;
  }

  /** Ink of the paper, 0 to 1: black is 1, as MNIST's digits are white on black. */
  function inkOf() {
    const pixels = ink.getImageData(0, 0, PAPER, PAPER).data;
    return Float64Array.from({ length: PAPER * PAPER }, (_, i) => 1 - pixels[4 * i] / 255);
  }

  /** A drawing as MNIST's makers prepared theirs (LeCun et al. 1998): the longer side of its box scaled to 20
   *  pixels, its centre of mass moved to the middle of 28 x 28. Values 0 to 255. */
  function digitPixels() {
    const drawn = inkOf();
    let [left, right, top, bottom] = [PAPER, -1, PAPER, -1];
    for (let i = 0; i < drawn.length; i++) {
      if (drawn[i] < 0.05) continue;
      const [x, y] = [i % PAPER, Math.floor(i / PAPER)];
      [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    const result = new Uint8ClampedArray(28 * 28);
    if (right < 0) return result;
    const scale = Math.max(right - left + 1, bottom - top + 1) / 20; // paper pixels per network pixel
    let [mass, massX, massY] = [0, 0, 0];
    for (let y = top; y <= bottom; y++) {
      for (let x = left; x <= right; x++) {
        const amount = drawn[y * PAPER + x];
        mass += amount;
        massX += amount * (x + 0.5);
        massY += amount * (y + 0.5);
      }
    }
    const [startX, startY] = [massX / mass - 14 * scale, massY / mass - 14 * scale];
    for (let row = 0; row < 28; row++) {
      for (let column = 0; column < 28; column++) {
        // The mean of a grid of samples: a pixel of the network covers many of the paper.
        const n = 8;
        let sum = 0;
        for (let k = 0; k < n * n; k++) {
          const x = Math.floor(startX + (column + ((k % n) + 0.5) / n) * scale);
          const y = Math.floor(startY + (row + (Math.floor(k / n) + 0.5) / n) * scale);
          if (x >= 0 && x < PAPER && y >= 0 && y < PAPER) sum += drawn[y * PAPER + x];
        }
        result[28 * row + column] = Math.round((255 * sum) / (n * n));
      }
    }
    return result;
  }

  function showDigit() {
    const pixels = digitPixels();
    showPixels(byId("seen-digits"), pixels, 1, 28);
    inputs.digits = isEmpty ? null : normalized(pixels, files.digits, 1);
    paper.setAttribute("aria-label", `Drawing area, ${isEmpty ? "empty" : "with a drawing"}. Pen ` +
      `${pen.isDown ? "down" : "up"} at ${Math.round(pen.x)}, ${Math.round(pen.y)} of ${PAPER}. Arrow keys move the ` +
      "pen, Space lowers or lifts it, Delete clears.");
    answer();
  }

  function paperPoint(event) {
    const box = paper.getBoundingClientRect();
    return [((event.clientX - box.left) * PAPER) / box.width, ((event.clientY - box.top) * PAPER) / box.height];
  }

  let isDrawing = false;
  paper.addEventListener("pointerdown", (event) => {
    isDrawing = true;
    paper.setPointerCapture(event.pointerId);
    [pen.x, pen.y] = paperPoint(event);
    stroke(pen.x, pen.y, pen.x, pen.y);
  });
  paper.addEventListener("pointermove", (event) => {
    if (!isDrawing) return;
    const [x, y] = paperPoint(event);
    stroke(pen.x, pen.y, x, y);
    [pen.x, pen.y] = [x, y];
    showDigit();
  });
  for (const type of ["pointerup", "pointercancel"]) {
    paper.addEventListener(type, () => {
      if (isDrawing) showDigit();
      isDrawing = false;
    });
  }
  paper.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 4 : 14;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key === "Delete" || event.key === "Backspace") {
      pen.isDown = false;
      clearPaper();
    } else if (event.key === " ") {
      pen.isDown = !pen.isDown;
      if (pen.isDown) stroke(pen.x, pen.y, pen.x, pen.y);
      showDigit();
    } else if (moves[event.key]) {
      const [x, y] = [pen.x + moves[event.key][0], pen.y + moves[event.key][1]];
      const [nextX, nextY] = [Math.min(Math.max(x, 0), PAPER), Math.min(Math.max(y, 0), PAPER)];
      if (pen.isDown) stroke(pen.x, pen.y, nextX, nextY);
      [pen.x, pen.y] = [nextX, nextY];
      showDigit();
    } else return;
    event.preventDefault(); // arrows and Space would scroll the page
  });
  byId("clear").addEventListener("click", clearPaper);

  // ------------------------------------------------------------------------------------------ pictures

  /** The central square of an RGBA picture, averaged to size x size: torch's adaptive_avg_pool2d, planes of red,
   *  green and blue, values 0 to 255, not rounded. */
  function picturePixels(rgba, width, height, size) {
    const side = Math.min(width, height);
    const [left, top] = [Math.floor((width - side) / 2), Math.floor((height - side) / 2)];
    const planes = new Float32Array(3 * size * size);
    for (let row = 0; row < size; row++) {
      const [y0, y1] = [Math.floor((row * side) / size), Math.ceil(((row + 1) * side) / size)];
      for (let column = 0; column < size; column++) {
        const [x0, x1] = [Math.floor((column * side) / size), Math.ceil(((column + 1) * side) / size)];
        const sums = [0, 0, 0];
        for (let y = y0; y < y1; y++) {
          for (let x = x0; x < x1; x++) {
            const at = 4 * ((top + y) * width + left + x);
            for (let channel = 0; channel < 3; channel++) sums[channel] += rgba[at + channel];
          }
        }
        const area = (y1 - y0) * (x1 - x0);
        sums.forEach((sum, channel) => {
          planes[(channel * size + row) * size + column] = sum / area;
        });
      }
    }
    return planes;
  }

  /** Show a picture: an ImageBitmap, a video or a canvas of this width and height. */
  function showPicture(source, width, height) {
    const shrink = Math.min(1, MAX_PICTURE / Math.max(width, height));
    const photo = byId("photo");
    photo.width = Math.max(1, Math.round(width * shrink));
    photo.height = Math.max(1, Math.round(height * shrink));
    const context = photo.getContext("2d", { willReadFrequently: true });
    context.fillStyle = "#ffffff"; // behind transparent parts
    context.fillRect(0, 0, photo.width, photo.height);
    context.drawImage(source, 0, 0, photo.width, photo.height);
    photo.hidden = false;
    const rgba = context.getImageData(0, 0, photo.width, photo.height).data;
    const pixels = picturePixels(rgba, photo.width, photo.height, 32);
    showPixels(byId("seen-pictures"), pixels, 3, 32);
    inputs.pictures = normalized(pixels, files.pictures, 3);
    answer();
  }

  async function showFile(file) {
    if (!file) return;
    choose("pictures");
    try {
      const bitmap = await createImageBitmap(file);
      showPicture(bitmap, bitmap.width, bitmap.height);
      bitmap.close();
      problem("");
    } catch (error) {
      problem(`${file.name || "What was pasted"} is not a picture that this browser can read: choose a PNG or JPEG file.`);
    }
  }

  byId("file").addEventListener("change", (event) => showFile(event.target.files[0]));
  const drop = byId("drop");
  for (const type of ["dragover", "dragenter", "dragleave", "drop"]) {
    window.addEventListener(type, (event) => {
      event.preventDefault(); // otherwise the browser leaves the page and shows the file
      drop.classList.toggle("over", type === "dragover" || type === "dragenter");
    });
  }
  window.addEventListener("drop", (event) => showFile(event.dataTransfer.files[0]));
  window.addEventListener("paste", (event) => {
    const file = Array.from(event.clipboardData.files).find(({ type }) => type.startsWith("image/"));
    if (file) showFile(file);
    else if (role === "pictures") problem("The clipboard holds no picture: copy one first.");
  });

  const video = byId("video");
  const hasCamera = Boolean(navigator.mediaDevices && navigator.mediaDevices.getUserMedia);
  byId("camera").hidden = !hasCamera;
  byId("camera").addEventListener("click", async () => {
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      await video.play();
      video.hidden = byId("snap").hidden = false;
      byId("photo").hidden = true;
      problem("");
    } catch (error) {
      problem("The camera is not there, or the browser may not use it: allow it, or choose a file.");
    }
  });
  byId("snap").addEventListener("click", () => {
    showPicture(video, video.videoWidth, video.videoHeight);
    stopCamera();
    byId("camera").focus();
  });

  function stopCamera() {
    if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
    video.srcObject = null;
    video.hidden = byId("snap").hidden = true;
  }

  // -------------------------------------------------------------------------------------------- pixels

  /** Planes of pixels as the network was trained on: (x / 255 - mean) / std of its data set. */
  function normalized(pixels, { mean, std }, channels) {
    const size = pixels.length / channels;
    return Float32Array.from(pixels, (value, i) => {
      const channel = Math.floor(i / size);
      return (value / 255 - mean[channel]) / std[channel];
    });
  }

  function showPixels(canvas, pixels, channels, size) {
    const image = new ImageData(size, size);
    for (let i = 0; i < size * size; i++) {
      for (let channel = 0; channel < 3; channel++) {
        image.data[4 * i + channel] = pixels[channels === 3 ? channel * size * size + i : i];
      }
      image.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  // -------------------------------------------------------------------------------- the file's bytes

  function showBytes() {
    const { name, bytes, model } = open(role);
    let [weights, kept] = [0, 0];
    for (const tensor of model.tensors.values()) {
      weights += tensor.nWeights;
      kept += tensor.nKept;
    }
    byId("file-line").textContent = `${name}: ${count(bytes.length)} bytes for ${count(weights)} weights, of which ` +
      `${count(kept)} are kept: ${((4 * weights) / bytes.length).toFixed(0)} times smaller than in float32.`;
    const bits = { file: 8 * model.fileBytes };
    for (const own of model.bits.values()) {
      for (const [kind, amount] of Object.entries(own)) bits[kind] = (bits[kind] || 0) + amount;
    }
    const kinds = Object.keys(BYTE_KINDS).filter((kind) => bits[kind]);
    byId("stack").replaceChildren(...kinds.map((kind) => {
      const part = element("span", `kind-${kind}`);
      part.style.width = `${(100 * bits[kind]) / (8 * bytes.length)}%`;
      return part;
    }));
    byId("kinds").tBodies[0].replaceChildren(...kinds.map((kind) => {
      const row = element("tr");
      const label = element("td");
      label.append(element("span", `swatch kind-${kind}`), BYTE_KINDS[kind]);
      const share = percent(bits[kind] / (8 * bytes.length));
      row.append(label, element("td", "", count(bits[kind] / 8)), element("td", "", share));
      return row;
    }));
  }

  function listLayers() {
    const layers = open(role).network.layers.filter(({ tensor }) => tensor);
    byId("layer").replaceChildren(...layers.map(({ name, tensor }, i) => {
      const option = element("option", "", `${name}: ${tensor.shape.join("×")}`);
      option.value = String(i);
      return option;
    }));
  }

  /** A picture of a layer's weights: a pixel each, or (where that is too wide) a pixel per filter plane. */
  function showWeights() {
    const layer = open(role).network.layers.filter(({ tensor }) => tensor)[Number(byId("layer").value)];
    const { shape, nWeights, nKept, codebook } = layer.tensor;
    const rowSize = nWeights / shape[0];
    const taps = rowSize > 1000 && shape.length === 4 ? shape[2] * shape[3] : 1;
    const columns = rowSize / taps;
    const canvas = byId("weights");
    [canvas.width, canvas.height] = [columns, shape[0]];
    const grow = Math.max(1, Math.min(Math.floor(640 / columns), Math.floor(320 / shape[0]), 12));
    canvas.style.width = `${columns * grow}px`;
    const context = canvas.getContext("2d");
    const image = context.createImageData(columns, shape[0]);
    const style = getComputedStyle(document.documentElement);
    const [plus, minus, soft] = ["--plus", "--minus", "--ink"].map((name) => colour(style.getPropertyValue(name)));
    for (let at = 0; at < columns * shape[0]; at++) {
      let [n, sum] = [0, 0];
      for (let tap = 0; tap < taps; tap++) {
        const weight = layer.weight[at * taps + tap];
        if (weight) n++;
        sum += weight;
      }
      if (!n) continue;
      const shade = taps > 1 ? soft : sum > 0 ? plus : minus;
      image.data.set([...shade, taps > 1 ? 75 + (180 * n) / taps : 255], 4 * at);
    }
    context.putImageData(image, 0, 0);
    const line = `${layer.name}: ${count(nKept)} of ${count(nWeights)} weights are kept (${percent(nKept / nWeights)}), ` +
      `with ${count(codebook ? codebook.length : nKept)} different values.`;
    byId("weights-line").textContent = line;
    canvas.setAttribute("aria-label", line);
    byId("weights-key").textContent = taps > 1
      ? `The more of the ${taps} weights of a filter plane are kept, the stronger the colour.`
      : "Positive weights are orange, negative ones blue, pruned ones empty.";
  }

  function colour(hex) {
    const number = parseInt(hex.trim().slice(1), 16);
    return [number >> 16, (number >> 8) & 255, number & 255];
  }

  // -------------------------------------------------------------------------------------- flipped bits

  function flip(at, bit) {
    const { bytes, model, network, fields, classes } = open(role);
    const isSigned = byId("flip-sign").checked;
    let damaged = Damage.flip(bytes, at, bit);
    if (isSigned) damaged = Damage.sign(damaged, model.records);
    const field = fields.find(({ start, stop }) => start <= at && at < stop);
    const place = `Byte ${at}, bit ${bit} (${field.tensor === "file" ? "file" : `tensor ${field.tensor}`}: ${field.field})`;
    const read = Damage.ask(damaged);
    const box = element("div", `answer ${read.model ? "accepted" : "refused"}`);
    if (read.model) {
      const n = Damage.countDifferences(model, read.model);
      box.append(element("p", "", `${place}. The reader accepts the file: ${changeText(n)}.`));
      try {
        const other = DCZ.network(read.model);
        if (inputs[role] && n) {
          const [before, after] = [network, other].map((net) => DCZ.softmax(DCZ.forward(net, inputs[role])));
          const best = after.indexOf(Math.max(...after));
          box.append(element("p", "", `Its answer to what you showed: ${classes[best]}, ${percent(after[best])} ` +
                                      `(before: ${percent(before[best])}).`));
        }
      } catch (error) {
        if (!(error instanceof DCZ.DczError)) throw error;
        box.append(element("p", "", `But it is no longer this network: ${error.message}`));
      }
    } else box.append(element("p", "", `${place}. The reader refuses the file:`), element("p", "mono", read.error));
    byId("flip-answer").replaceChildren(box);
  }

  function changeText(n) {
    if (n === 0) return "the same weights as before";
    return n === Infinity ? "other tensors than before" : `${count(n)} ${n === 1 ? "weight" : "weights"} changed`;
  }

  byId("flip-bit").replaceChildren(...[7, 6, 5, 4, 3, 2, 1, 0].map((bit) => {
    const option = element("option", "", `${bit}${bit === 7 ? " (highest)" : bit === 0 ? " (lowest)" : ""}`);
    option.value = String(bit);
    return option;
  }));
  byId("flip").addEventListener("click", () => {
    const at = byId("flip-byte").valueAsNumber;
    const most = open(role).bytes.length - 1;
    if (!(Number.isInteger(at) && at >= 0 && at <= most)) {
      byId("flip-answer").replaceChildren(element("p", "answer", `Byte: expected a whole number from 0 to ${most}.`));
      return;
    }
    flip(at, Number(byId("flip-bit").value));
  });
  byId("flip-random").addEventListener("click", () => {
    const at = Math.floor(Math.random() * open(role).bytes.length);
    const bit = Math.floor(Math.random() * 8);
    byId("flip-byte").value = String(at);
    byId("flip-bit").value = String(bit);
    flip(at, bit);
  });

  // ---------------------------------------------------------------------------------------------- tabs

  function problem(text) {
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  }

  /** Go over to digits or pictures. */
  function choose(which) {
    if (which === role && opened[role]) return;
    role = which;
    for (const name of ["digits", "pictures"]) {
      byId(`tab-${name}`).setAttribute("aria-selected", String(name === which));
      byId(`tab-${name}`).tabIndex = name === which ? 0 : -1;
      byId(`panel-${name}`).hidden = name !== which;
    }
    if (which !== "pictures") stopCamera();
    byId("flip-byte").max = String(open(role).bytes.length - 1);
    byId("flip-answer").replaceChildren();
    showBytes();
    listLayers();
    showWeights();
    if (role === "digits") showDigit();
    else answer();
  }

  const tabs = ["digits", "pictures"].map((name) => byId(`tab-${name}`));
  tabs.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      tabs[1 - i].focus();
      tabs[1 - i].click();
      event.preventDefault();
    });
  });
  byId("layer").addEventListener("change", showWeights);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => opened[role] && showWeights());

  if (!files.digits || !files.pictures) {
    problem("The networks are not here. This folder is only the page: write a copy that has them with dnnc export --web FOLDER.");
    return;
  }
  try {
    clearPaper();
    role = "";
    choose("digits");
    setTimeout(() => open("pictures"), 200); // so that the first picture is answered at once
  } catch (error) {
    if (!(error instanceof DCZ.DczError)) throw error;
    problem(`The file of the network cannot be read: ${error.message}`);
  }
})();

/* The page "A .dcz file, byte by byte": needs dcz.js, damage.js and networks.js. */
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const PER_PAGE = 512;
  const MAX_BYTES = 2 ** 20; // a larger file takes long to be read again at every click
  const LIMIT = 2 ** 30; // of memory
  const KINDS = {
    header: "shapes and sizes", codebook: "codebook", table: "code lengths", values: "values", index: "positions",
    dense: "dense values", checksum: "checksums", file: "the file’s own",
  };
  let file = null; // {name, bytes, model, fields}: as it was opened
  let changed = null; // its bytes with the changes
  let kinds = []; // of each byte shown: a field or undefined
  let chosen = 0;
  let firstShown = 0;

  function element(tag, className = "", text = "") {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  function problem(text) {
    byId("problem").textContent = text;
    byId("problem").hidden = !text;
  }

  /** Open a file; one that the reader refuses is not opened. */
  function open(name, bytes) {
    const read = Damage.ask(bytes, { maxDenseBytes: LIMIT });
    if (!read.model) {
      problem(`${name}: ${read.error}`);
      return;
    }
    problem("");
    file = { name, bytes, model: read.model, fields: read.fields };
    changed = bytes.slice();
    [chosen, firstShown] = [0, 0];
    byId("file-line").textContent = `${name}: ${bytes.length.toLocaleString("en")} bytes, ` +
      `${read.model.tensors.size} tensors, metadata ${spell(read.model.metadata)}`;
    show();
  }

  function spell(metadata) {
    return JSON.stringify(metadata, (_, value) => (typeof value === "bigint" ? String(value) : value));
  }

  function isMine(field) {
    return field.tensor === "file" && field.kind !== "checksum";
  }

  function fieldAt(fields, at) {
    let [low, high] = [0, fields.length]; // fields ascend: a binary search
    while (low < high) {
      const middle = (low + high) >> 1;
      if (fields[middle].stop <= at) low = middle + 1;
      else high = middle;
    }
    return low < fields.length && fields[low].start <= at ? fields[low] : undefined;
  }

  /** The bytes that the reader gets: checksums as they were, or made right. */
  function given() {
    return byId("sign").checked ? Damage.sign(changed, file.model.records) : changed;
  }

  function nChanged() {
    let n = 0;
    for (let at = 0; at < changed.length; at++) if (changed[at] !== file.bytes[at]) n++;
    return n;
  }

  /** Everything again: the answer, the bytes of this page, the chosen byte. */
  function show() {
    if (!file) return;
    const bytes = given();
    const read = Damage.ask(bytes, { maxDenseBytes: LIMIT });
    // A digest that does not fit stops the reader before it looks at the rest: then the old fields say more.
    const fields = read.model || byId("sign").checked ? read.fields : file.fields;
    const box = element("div", `answer ${read.model ? "accepted" : "refused"}`);
    if (!read.model) box.append(element("p", "", "The reader refuses the file:"), element("p", "mono", read.error));
    else if (nChanged() === 0) box.append(element("p", "", "The reader accepts the file, as it was written."));
    else {
      const n = Damage.countDifferences(file.model, read.model);
      const what = n === 0 ? "The weights are the same." : n === Infinity ? "It holds other tensors." :
        `${n.toLocaleString("en")} ${n === 1 ? "weight has" : "weights have"} changed.`;
      box.append(element("p", "", `The reader accepts the file. ${what}`));
    }
    byId("answer").replaceChildren(box);
    const last = Math.min(firstShown + PER_PAGE, bytes.length);
    kinds = [];
    const buttons = [];
    for (let at = firstShown; at < last; at++) {
      const field = fieldAt(fields, at);
      kinds.push(field);
      const kind = field ? `kind-${isMine(field) ? "file" : field.kind}` : "unread";
      const button = element("button", `${kind}${changed[at] === file.bytes[at] ? "" : " changed"}`, hex(bytes[at]));
      button.type = "button";
      button.dataset.at = String(at);
      button.tabIndex = at === chosen ? 0 : -1; // one stop of the Tab key; arrows go on from there
      button.setAttribute("aria-pressed", String(at === chosen));
      button.setAttribute("aria-label", `byte ${at}, ${hex(bytes[at])}, ${describe(field)}`);
      buttons.push(button);
    }
    byId("dump").replaceChildren(...buttons);
    byId("range").textContent = `Bytes ${firstShown} to ${last - 1} of ${bytes.length}`;
    byId("back").disabled = firstShown === 0;
    byId("on").disabled = last === bytes.length;
    showByte(bytes);
  }

  function describe(field) {
    if (!field) return "not read";
    return isMine(field) || field.field === "digest" ? `file: ${field.field}` : `tensor ${field.tensor}: ${field.field}`;
  }

  function hex(byte) {
    return byte.toString(16).padStart(2, "0");
  }

  function showByte(bytes) {
    const value = bytes[chosen];
    const field = kinds[chosen - firstShown];
    const was = value === file.bytes[chosen] ? "" : ` (it was ${hex(file.bytes[chosen])})`;
    const place = field && field.stop - field.start > 1
      ? `, byte ${chosen - field.start + 1} of ${field.stop - field.start} of it` : "";
    byId("byte-line").textContent = `Byte ${chosen}: ${hex(value)} in hexadecimal, ${value}${was}. ${describe(field)}${place}.`;
    byId("bits").replaceChildren(...[7, 6, 5, 4, 3, 2, 1, 0].map((bit) => {
      const isOther = ((changed[chosen] ^ file.bytes[chosen]) >> bit) & 1;
      const button = element("button", isOther ? "changed" : "", String((value >> bit) & 1));
      button.type = "button";
      button.dataset.bit = String(bit);
      button.setAttribute("aria-label", `bit ${bit}: ${(value >> bit) & 1}, change it`);
      return button;
    }));
  }

  /** Choose a byte, and turn the page if it is not on this one. */
  function choose(at, hasFocus) {
    if (!file) return;
    chosen = Math.max(0, Math.min(changed.length - 1, at));
    const page = chosen - (chosen % PER_PAGE);
    if (page === firstShown) {
      for (const button of byId("dump").children) {
        const isChosen = Number(button.dataset.at) === chosen;
        button.setAttribute("aria-pressed", String(isChosen));
        button.tabIndex = isChosen ? 0 : -1;
      }
      showByte(given());
    } else {
      firstShown = page;
      show();
    }
    if (hasFocus) byId("dump").children[chosen - firstShown].focus();
  }

  byId("dump").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) choose(Number(button.dataset.at), true);
  });
  byId("dump").addEventListener("keydown", (event) => {
    const buttons = Array.from(byId("dump").children);
    const perRow = Math.max(1, buttons.filter(({ offsetTop }) => offsetTop === buttons[0].offsetTop).length);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow, PageUp: -PER_PAGE, PageDown: PER_PAGE };
    if (!steps[event.key]) return;
    event.preventDefault();
    choose(chosen + steps[event.key], true);
  });
  byId("bits").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const bit = Number(button.dataset.bit);
    changed = Damage.flip(changed, chosen, bit);
    show();
    byId("bits").children[7 - bit].focus();
  });
  byId("sign").addEventListener("change", show);
  byId("reset").addEventListener("click", () => {
    if (!file) return;
    changed = file.bytes.slice();
    show();
  });
  byId("back").addEventListener("click", () => choose(firstShown - PER_PAGE, false));
  byId("on").addEventListener("click", () => choose(firstShown + PER_PAGE, false));

  async function openChosen(picked) {
    if (!picked) return;
    if (picked.size > MAX_BYTES) problem(`${picked.name} has ${picked.size} bytes: this page shows at most ${MAX_BYTES}.`);
    else open(picked.name, new Uint8Array(await picked.arrayBuffer()));
  }

  byId("file").addEventListener("change", (event) => openChosen(event.target.files[0]));
  for (const type of ["dragover", "drop"]) window.addEventListener(type, (event) => event.preventDefault());
  window.addEventListener("drop", (event) => openChosen(event.dataTransfer.files[0]));

  byId("legend").replaceChildren(...Object.entries(KINDS).map(([kind, text]) => {
    const item = element("span");
    item.append(element("span", `swatch kind-${kind}`), text);
    return item;
  }));
  if (typeof COMPRESSED_NETWORKS === "undefined") {
    problem("No file is here. Open one, or write a copy of this folder that has some with dnnc export --web FOLDER.");
  } else {
    const { name, base64 } = COMPRESSED_NETWORKS.digits;
    open(name, Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
  }
})();

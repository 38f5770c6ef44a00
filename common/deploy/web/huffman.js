/* The page "Huffman's code, step by step": needs dcz.js, whose code lengths are those of .dcz files. */
"use strict";

(() => {
  const byId = (id) => document.getElementById(id);
  const MOST_DRAWN = 40; // leaves of a tree that can still be read
  const MOST_SHOWN = 300; // symbols of the coded text
  const SVG = "http://www.w3.org/2000/svg";
  const examples = { text: byId("text").value, counts: "5 1 0 2" };
  let mode = "text";

  function element(tag, className = "", text = "") {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.textContent = text;
    return made;
  }

  function svg(tag, attributes, text = "") {
    const made = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
    made.textContent = text;
    return made;
  }

  /** Symbols and counts of what was typed; throws an Error with a message for the reader. */
  function parse(text) {
    if (mode === "text") {
      const characters = Array.from(text);
      const labels = Array.from(new Set(characters)).sort((a, b) => a.codePointAt(0) - b.codePointAt(0));
      const order = new Map(labels.map((label, i) => [label, i]));
      const counts = labels.map(() => 0);
      const symbols = characters.map((character) => order.get(character));
      for (const symbol of symbols) counts[symbol]++;
      return { labels: labels.map(visible), counts, symbols };
    }
    const parts = text.split(/[\s,;]+/).filter(Boolean);
    const wrong = parts.find((part) => !/^[0-9]{1,12}$/.test(part));
    if (wrong !== undefined) throw new Error(`“${wrong}” is not a count: write whole numbers, at most twelve digits, like 5 1 0 2.`);
    if (parts.length > 256) throw new Error(`${parts.length} counts: write at most 256.`);
    return { labels: parts.map((_, i) => String(i)), counts: parts.map(Number), symbols: null };
  }

  function visible(character) {
    return { " ": "␣", "\n": "⏎", "\t": "⇥" }[character] || character;
  }

  function show() {
    let input;
    try {
      input = parse(byId("text").value);
      byId("problem").hidden = true;
    } catch (error) {
      byId("problem").textContent = error.message;
      byId("problem").hidden = false;
      return;
    }
    const { labels, counts, symbols } = input;
    const lengths = DCZ.codeLengths(counts);
    const codes = DCZ.canonicalCodes(lengths);
    showSizes(counts, lengths);
    showCodes(labels, counts, lengths, codes);
    showTree(labels, counts, codes);
    byId("coded-card").hidden = symbols === null;
    if (symbols) showCoded(labels, symbols, codes);
  }

  function showSizes(counts, lengths) {
    const total = counts.reduce((a, b) => a + b, 0);
    const present = counts.filter((count) => count > 0);
    const entropy = present.reduce((sum, count) => sum + count * Math.log2(total / count), 0);
    const coded = counts.reduce((sum, count, symbol) => sum + count * lengths[symbol], 0);
    const fixed = total * Math.max(1, Math.ceil(Math.log2(Math.max(1, present.length))));
    const rows = [["Codes of one length", fixed, "fixed"], ["Huffman’s code", coded, "huffman"], ["Entropy", entropy, "entropy"]];
    byId("sizes").tBodies[0].replaceChildren(...rows.map(([name, bits, id]) => {
      const row = element("tr");
      row.id = `size-${id}`;
      row.dataset.bits = String(bits);
      const each = total ? (bits / total).toFixed(3) : "–";
      row.append(element("td", "", name), element("td", "", bits.toFixed(id === "entropy" ? 1 : 0)), element("td", "", each));
      return row;
    }));
    const most = Math.max(0, ...lengths);
    byId("note").textContent = total === 0 ? "Nothing has been typed." :
      `${total.toLocaleString("en")} symbols of ${present.length} kinds. The longest code has ${most} bits` +
      `${most === 15 ? ", the most that a .dcz file allows" : ""}. A code word is a whole number of bits, so a symbol costs at ` +
      "least one, however frequent it is.";
  }

  function showCodes(labels, counts, lengths, codes) {
    const total = counts.reduce((a, b) => a + b, 0);
    byId("codes").tBodies[0].replaceChildren(...labels.map((label, symbol) => {
      const row = element("tr");
      const share = total ? `${((100 * counts[symbol]) / total).toFixed(1)} %` : "–";
      const cells = [label, codes[symbol] || "–", lengths[symbol] || "–", counts[symbol], share,
                     counts[symbol] * lengths[symbol]];
      row.append(...cells.map((text, i) => element("td", i < 2 ? "mono" : "", String(text))));
      return row;
    }));
  }

  /** The codes as a tree: inner nodes hold the sum of the counts below them. */
  function showTree(labels, counts, codes) {
    const leaves = codes.map((code, symbol) => ({ code, symbol })).filter(({ code }) => code);
    leaves.sort((a, b) => (a.code < b.code ? -1 : 1));
    const canDraw = leaves.length > 0 && leaves.length <= MOST_DRAWN;
    byId("tree").toggleAttribute("hidden", !canDraw);
    byId("tree").style.display = canDraw ? "" : "none";
    byId("tree-note").hidden = canDraw || leaves.length === 0;
    byId("tree-note").textContent = `A tree of ${leaves.length} leaves is too wide to be read: the table has the codes.`;
    byId("tree").replaceChildren();
    if (!canDraw) return;
    const [columnWidth, rowHeight, margin] = [46, 62, 26];
    const nodes = new Map(); // by the bits that lead to them: {x, sum}
    leaves.forEach(({ code, symbol }, column) => {
      for (let depth = 0; depth <= code.length; depth++) {
        const key = code.slice(0, depth);
        const node = nodes.get(key) || { left: column, sum: 0 };
        node.right = column;
        node.sum += counts[symbol];
        nodes.set(key, node);
      }
    });
    const x = (key) => margin + (columnWidth * (nodes.get(key).left + nodes.get(key).right)) / 2;
    const y = (key) => margin + rowHeight * key.length;
    const deepest = Math.max(...leaves.map(({ code }) => code.length));
    const width = 2 * margin + columnWidth * (leaves.length - 1);
    const height = 2 * margin + rowHeight * deepest;
    const parts = [];
    for (const key of nodes.keys()) {
      if (!key) continue;
      const parent = key.slice(0, -1);
      parts.push(svg("line", { class: "edge", x1: x(parent), y1: y(parent), x2: x(key), y2: y(key) }));
      const middle = [(x(parent) + x(key)) / 2, (y(parent) + y(key)) / 2];
      parts.push(svg("text", { class: "bit", x: middle[0] + (key.endsWith("0") ? -9 : 9), y: middle[1] + 2 }, key.slice(-1)));
    }
    const leafOf = new Map(leaves.map(({ code, symbol }) => [code, symbol]));
    for (const [key, node] of nodes) {
      const isLeaf = leafOf.has(key);
      parts.push(svg("circle", { class: isLeaf ? "leaf" : "node", cx: x(key), cy: y(key), r: 17 }));
      const label = isLeaf ? labels[leafOf.get(key)] : node.sum < 1e5 ? String(node.sum) : "Σ";
      parts.push(svg("text", { x: x(key), y: y(key) + 5 }, label));
    }
    const tree = byId("tree");
    tree.setAttribute("viewBox", `0 0 ${Math.max(width, 60)} ${height}`);
    tree.style.minWidth = `${0.7 * Math.min(width, 1200)}px`;
    tree.style.maxWidth = `${Math.max(width * 1.4, 120)}px`;
    tree.replaceChildren(...parts);
  }

  function showCoded(labels, symbols, codes) {
    const shown = symbols.slice(0, MOST_SHOWN).map((symbol) => {
      const part = element("span", "", codes[symbol]);
      part.title = labels[symbol];
      return part;
    });
    if (symbols.length > MOST_SHOWN) shown.push(element("i", "soft", `and ${symbols.length - MOST_SHOWN} more symbols`));
    byId("coded").replaceChildren(...shown);
  }

  byId("text").addEventListener("input", show);
  for (const choice of document.getElementsByName("mode")) {
    choice.addEventListener("change", () => {
      examples[mode] = byId("text").value;
      mode = choice.value;
      byId("text").value = examples[mode];
      byId("text-label").textContent = mode === "text" ? "Text" : "Counts of the symbols 0, 1, 2, ...";
      show();
    });
  }
  mode = document.querySelector("input[name=mode]:checked").value; // browsers keep it over a reload
  show();
})();

/* Reads .dcz files and runs the networks in them: plain JavaScript, no dependency, no build step.
 *
 * A page includes it with <script src="dcz.js">, from a server or from disk; Node with require("./dcz.js").
 * Both get one object, DCZ:
 *
 *   const model = DCZ.load(bytes);            // a Uint8Array; throws a DczError that names tensor and field
 *   const network = DCZ.network(model);       // LeNet-300-100, LeNet-5 or VGG-16
 *   const logits = DCZ.forward(network, x);   // x: a Float32Array of channels * height * width
 *
 * The format is specified in the docstring of common/codec/container.py, and this file follows it from top to
 * bottom: bytes, checksums, metadata, Huffman codes, blocks, positions, tensors, the file, the networks. The
 * file may come from anybody: whatever is read is checked before it is used, and a file that is not exactly as
 * the specification says is refused, as the Python reader refuses it.
 */
"use strict";

const DCZ = (() => {
  const MAGIC = [0x44, 0x43, 0x5a]; // "DCZ"
  const VERSION = 1;
  const CRC_BYTES = 4;
  const DIGEST_BYTES = 8;
  const MAX_METADATA_BYTES = 2 ** 20;
  const MAX_NESTING = 64; // arrays and objects within each other in the metadata
  const MAX_DIGITS = 4300; // of an integer in the metadata
  const MAX_NAME_BYTES = 2 ** 10;
  const MAX_TENSORS = 2 ** 16;
  const MAX_AXES = 8;
  const MAX_WEIGHTS = 2 ** 33;
  const MAX_CLUSTERS = 2 ** 15;
  const MAX_LENGTH = 15; // of a Huffman code, in bits
  const MAX_BLOCK = 8; // symbols
  const MAX_BLOCK_KINDS = 256;
  const MAX_LABEL = 8;
  const MAX_LABELLED = 2 ** 20; // rows, or columns times taps, of a tensor with labels
  const MAX_WIDTH = 12; // of a gap, in bits
  const LANE_SYMBOLS = 2 ** 16; // from so many symbols on, a stream has entry points
  const N_LANES = 4;

  // Memory, in bytes, that a file is charged for what it announces; a byte of a file can stand for a great
  // deal, so the sum is compared with the limit before anything is allocated.
  const MAX_DENSE_BYTES = 4 * 2 ** 30;
  const PER_WEIGHT = 4; // the float32 that it becomes
  const PER_INDEX = 4; // of a tensor of which every weight is kept
  const PER_KEPT = 16; // position and index, and the temporary lists on the way to them
  const PER_GAP = 4; // only while its zone is read

  const DTYPES = [
    ["float32", 4], ["float16", 2], ["float64", 8], ["bool", 1], ["uint8", 1], ["uint16", 2], ["uint32", 4],
    ["uint64", 8], ["int8", 1], ["int16", 2], ["int32", 4], ["int64", 8],
  ];
  const SHARED = 64;
  const HAS_SCALES = 32;

  /** A file that is damaged, hostile or of another version; the message names tensor and field. */
  class DczError extends Error {
    constructor(message) {
      super(message);
      this.name = "DczError";
    }
  }

  // ------------------------------------------------------------------------------------------- bytes

  /** What reading may still cost in memory. */
  class Budget {
    constructor(maxDenseBytes) {
      this.left = maxDenseBytes;
    }

    charge(nBytes, reader, field) {
      if (nBytes > this.left) {
        throw reader.error(field, `${nBytes} bytes of memory`, `at most ${this.left}; raise the limit`);
      }
      this.left -= nBytes;
    }

    giveBack(nBytes) {
      this.left += nBytes;
    }
  }

  /** Reads bytes[at, stop) and nothing else, and keeps account: bits by kind, and which bytes were which field. */
  class ByteReader {
    constructor(bytes, at, stop, where, fields) {
      this.bytes = bytes;
      this.at = at;
      this.stop = stop;
      this.where = where;
      this.fields = fields; // shared by all readers of a file, in the order of reading
      this.bits = {};
    }

    get left() {
      return this.stop - this.at;
    }

    error(field, got, expected) {
      return new DczError(`${this.where}: ${field}: got ${got}, expected ${expected}`);
    }

    /** The next nBytes bytes, the last paddingBits bits of which only fill up the last byte. */
    take(nBytes, field, kind = "header", paddingBits = 0) {
      if (nBytes > this.left) {
        throw this.error(field, `${this.left} bytes`, `${nBytes} bytes; the data is damaged`);
      }
      const part = this.bytes.subarray(this.at, this.at + nBytes);
      this.note(nBytes, field, kind);
      this.at += nBytes;
      this.bits[kind] = (this.bits[kind] || 0) + 8 * nBytes - paddingBits;
      this.bits.padding = (this.bits.padding || 0) + paddingBits;
      return part;
    }

    /** Remember which field the next bytes belong to, for pages that show a file byte by byte. */
    note(nBytes, field, kind) {
      const last = this.fields[this.fields.length - 1];
      const continues = last && last.stop === this.at && last.field === field && last.tensor === this.where;
      if (continues) last.stop += nBytes;
      else if (nBytes > 0) {
        this.fields.push({ start: this.at, stop: this.at + nBytes, field, kind, tensor: this.where });
      }
    }

    byte(field, kind = "header", most = 255) {
      const value = this.take(1, field, kind)[0];
      if (value > most) throw this.error(field, value, `at most ${most}`);
      return value;
    }

    /** An unsigned integer, 7 bits a byte, lowest first. */
    varint(field, most, kind = "header") {
      let value = 0;
      let scale = 1; // not a shift: JavaScript shifts 32 bits only, and sizes go up to 2 ** 33
      let byte;
      do {
        byte = this.take(1, field, kind)[0];
        value += (byte & 0x7f) * scale;
        if (value > most) throw this.error(field, value, `at most ${most}`);
        scale *= 128;
        if (byte >= 0x80 && scale > 2 ** 56) {
          throw this.error(field, "more than nine bytes", "an integer of at most nine bytes");
        }
      } while (byte >= 0x80);
      // Without this rule one number could be written in several ways, and one model as several files.
      if (byte === 0 && scale > 128) throw this.error(field, "leading zero bytes", "the shortest spelling");
      return value;
    }

    done() {
      if (this.left) throw this.error("end", `${this.left} bytes more`, "nothing more");
    }
  }

  /** UTF-8 to a string; a byte sequence that is not UTF-8 throws. */
  function fromUtf8(bytes) {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  }

  /** Order of two strings by code points. JavaScript's own `<` compares UTF-16 units, which differs beyond
   *  U+FFFF. */
  function compareStrings(a, b) {
    const one = Array.from(a);
    const other = Array.from(b);
    for (let i = 0; i < Math.min(one.length, other.length); i++) {
      const difference = one[i].codePointAt(0) - other[i].codePointAt(0);
      if (difference) return difference;
    }
    return one.length - other.length;
  }

  /** Order of two names in which conv2 stands before conv10: runs of digits 0 to 9 compare as numbers. */
  function compareNames(a, b) {
    const one = a.split(/([0-9]+)/);
    const other = b.split(/([0-9]+)/);
    for (let i = 0; i < Math.min(one.length, other.length); i++) {
      let [left, right] = [one[i], other[i]];
      if (i % 2) {
        // every second part is a run of digits: the longer one, without leading zeros, is the larger number
        left = left.replace(/^0+/, "");
        right = right.replace(/^0+/, "");
        if (left.length !== right.length) return left.length - right.length;
      }
      const difference = compareStrings(left, right);
      if (difference) return difference;
    }
    return one.length - other.length || compareStrings(a, b); // a1 and a01 are equal numbers, not equal names
  }

  // --------------------------------------------------------------------------------------- checksums

  const CRC_TABLE = new Uint32Array(256);
  for (let n = 0; n < 256; n++) {
    let value = n;
    for (let k = 0; k < 8; k++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    CRC_TABLE[n] = value;
  }

  /** CRC-32, as in zip and PNG, of several parts in a row. */
  function crc32(...parts) {
    let value = 0xffffffff;
    for (const part of parts) {
      for (let i = 0; i < part.length; i++) value = CRC_TABLE[(value ^ part[i]) & 0xff] ^ (value >>> 8);
    }
    return (value ^ 0xffffffff) >>> 0;
  }

  // BLAKE2b (RFC 7693) works on 64-bit words. JavaScript has none that are fast, so a word is two entries of a
  // Uint32Array, the low half first.
  const BLAKE2B_IV = [
    0xf3bcc908, 0x6a09e667, 0x84caa73b, 0xbb67ae85, 0xfe94f82b, 0x3c6ef372, 0x5f1d36f1, 0xa54ff53a,
    0xade682d1, 0x510e527f, 0x2b3e6c1f, 0x9b05688c, 0xfb41bd6b, 0x1f83d9ab, 0x137e2179, 0x5be0cd19,
  ];
  const BLAKE2B_SIGMA = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
    [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
    [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
    [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
    [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
    [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
    [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
    [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
  ];
  const BLAKE2B_MIXES = [
    [0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15],
    [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14],
  ];

  /** BLAKE2b with a digest of nBytes bytes. (The length is part of the hash: no prefix of a longer digest.) */
  function blake2b(bytes, nBytes = DIGEST_BYTES) {
    const state = Uint32Array.from(BLAKE2B_IV);
    state[0] ^= 0x01010000 ^ nBytes;
    const v = new Uint32Array(32);
    const message = new Uint32Array(32);

    function add(a, source, b) {
      const low = v[a] + source[b];
      v[a + 1] = v[a + 1] + source[b + 1] + (low > 0xffffffff ? 1 : 0);
      v[a] = low;
    }

    /** v[a] = (v[a] ^ v[b]) rotated to the right by n bits. */
    function xorRotate(a, b, n) {
      const low = v[a] ^ v[b];
      const high = v[a + 1] ^ v[b + 1];
      if (n === 32) [v[a], v[a + 1]] = [high, low];
      else if (n < 32) {
        v[a] = (low >>> n) | (high << (32 - n));
        v[a + 1] = (high >>> n) | (low << (32 - n));
      } else {
        v[a] = (high >>> (n - 32)) | (low << (64 - n)); // only by 63
        v[a + 1] = (low >>> (n - 32)) | (high << (64 - n));
      }
    }

    const nBlocks = Math.max(1, Math.ceil(bytes.length / 128));
    for (let block = 0; block < nBlocks; block++) {
      message.fill(0);
      const stop = Math.min(128 * block + 128, bytes.length);
      for (let at = 128 * block; at < stop; at++) message[(at >> 2) & 31] |= bytes[at] << (8 * (at & 3));
      v.set(state);
      v.set(BLAKE2B_IV, 16);
      v[24] ^= stop; // the bytes so far
      v[25] ^= Math.floor(stop / 2 ** 32);
      if (block === nBlocks - 1) {
        v[28] = ~v[28];
        v[29] = ~v[29];
      }
      for (let round = 0; round < 12; round++) {
        const sigma = BLAKE2B_SIGMA[round % 10];
        for (let k = 0; k < 8; k++) {
          const [a, b, c, d] = BLAKE2B_MIXES[k].map((word) => 2 * word);
          add(a, v, b);
          add(a, message, 2 * sigma[2 * k]);
          xorRotate(d, a, 32);
          add(c, v, d);
          xorRotate(b, c, 24);
          add(a, v, b);
          add(a, message, 2 * sigma[2 * k + 1]);
          xorRotate(d, a, 16);
          add(c, v, d);
          xorRotate(b, c, 63);
        }
      }
      for (let i = 0; i < 16; i++) state[i] ^= v[i] ^ v[i + 16];
    }
    return new Uint8Array(state.buffer.slice(0, nBytes));
  }

  // ---------------------------------------------------------------------------------------- metadata

  /** Python's spelling of a float: the shortest digits that round to it. */
  function spellFloat(value) {
    if (Object.is(value, -0)) return "-0.0";
    if (value === 0) return "0.0";
    const [digits, power] = value.toExponential().split("e"); // "-1.25", "+20": also the shortest digits
    const exponent = Number(power);
    if (exponent >= -4 && exponent < 16) {
      const text = String(value); // JavaScript goes over to exponents only later, at 1e-7 and 1e21
      return text.includes(".") ? text : `${text}.0`;
    }
    return `${digits}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }

  /** The value of a JSON text in its one allowed spelling; any other throws.
   *
   *  JSON.parse would forget what has to be checked: the order of keys, repeats, spaces, how a number is
   *  written. So this is a small parser of its own that accepts the canonical text only.
   */
  function parseCanonicalJson(text) {
    let at = 0;

    function fail(expected) {
      throw new DczError(`file: metadata: got ${JSON.stringify(text.slice(at, at + 20))} at character ${at}, ` +
                         `expected ${expected}: a JSON object, keys sorted, no spaces, no NaN`);
    }

    function accept(literal) {
      if (!text.startsWith(literal, at)) return false;
      at += literal.length;
      return true;
    }

    function string() {
      const match = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\bfnrt]|u00[01][0-9a-f]))*"/y;
      match.lastIndex = at;
      const found = match.exec(text);
      if (!found) fail("a string");
      const value = JSON.parse(found[0]);
      // \u000a is a newline, too, but it has a shorter spelling: one string must not have two.
      if (JSON.stringify(value) !== found[0]) fail("the usual escapes");
      at += found[0].length;
      return value;
    }

    function number() {
      const match = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?(e[-+][0-9]+)?/y;
      match.lastIndex = at;
      const found = match.exec(text);
      if (!found) fail("a value");
      const [spelt, fraction, exponent] = found;
      let value = Number(spelt);
      if (fraction === undefined && exponent === undefined) {
        if (spelt === "-0" || spelt.replace("-", "").length > MAX_DIGITS) fail("an integer");
        if (!Number.isSafeInteger(value)) value = BigInt(spelt);
      } else if (!Number.isFinite(value) || spellFloat(value) !== spelt) fail("a float's shortest digits");
      at += spelt.length;
      return value;
    }

    function value(depth) {
      if (depth > MAX_NESTING) fail(`at most ${MAX_NESTING} arrays and objects within each other`);
      if (text[at] === "{") return object(depth);
      if (text[at] === '"') return string();
      if (accept("[")) {
        const items = [];
        if (accept("]")) return items;
        do items.push(value(depth + 1));
        while (accept(","));
        if (!accept("]")) fail("]");
        return items;
      }
      for (const [literal, constant] of [["true", true], ["false", false], ["null", null]]) {
        if (accept(literal)) return constant;
      }
      return number();
    }

    function object(depth) {
      const entries = Object.create(null); // without a prototype: a key "__proto__" is a key like any other
      if (!accept("{")) fail("{");
      if (accept("}")) return entries;
      let previous = null;
      do {
        if (text[at] !== '"') fail("a key");
        const key = string();
        if (previous !== null && compareStrings(previous, key) >= 0) fail("ascending keys");
        if (!accept(":")) fail(":");
        entries[key] = value(depth + 1);
        previous = key;
      } while (accept(","));
      if (!accept("}")) fail("}");
      return entries;
    }

    const metadata = object(1);
    if (at < text.length) fail("nothing more");
    return metadata;
  }

  // ---------------------------------------------------------------------------------- Huffman's codes

  /** Code lengths from counts, as common.codec.huffman.code_lengths computes them. Ties matter: both sides must
   *  find the same code. */
  function codeLengths(counts) {
    const lengths = new Uint8Array(counts.length);
    const rarestFirst = [];
    for (let symbol = counts.length - 1; symbol >= 0; symbol--) if (counts[symbol]) rarestFirst.push(symbol);
    if (rarestFirst.length <= 1) {
      for (const symbol of rarestFirst) lengths[symbol] = 1; // a single symbol takes one bit
      return lengths;
    }
    // The list descends and sorting is stable: among equal counts the higher symbol stands first, and in the
    // end has the longer code.
    rarestFirst.sort((a, b) => counts[a] - counts[b]);
    const leaves = rarestFirst.map((symbol) => counts[symbol]);
    let depths = huffmanDepths(leaves);
    if (depths[0] > MAX_LENGTH) depths = packageMerge(leaves);
    rarestFirst.forEach((symbol, i) => {
      lengths[symbol] = depths[i];
    });
    return lengths;
  }

  /** Depth of each leaf of Huffman's tree over ascending counts: two queues, leaves and joined nodes. */
  function huffmanDepths(leaves) {
    const n = leaves.length;
    const weights = leaves.slice();
    const parents = [];
    let leaf = 0;
    let joined = n;
    for (let node = n; node < 2 * n - 1; node++) {
      weights[node] = 0;
      for (let k = 0; k < 2; k++) {
        const takesLeaf = leaf < n && (joined >= node || weights[leaf] <= weights[joined]);
        const least = takesLeaf ? leaf++ : joined++;
        weights[node] += weights[least];
        parents[least] = node;
      }
    }
    const depths = new Array(2 * n - 1).fill(0);
    for (let node = 2 * n - 3; node >= 0; node--) depths[node] = depths[parents[node]] + 1;
    return depths.slice(0, n);
  }

  /** Code lengths of at most 15 bits where Huffman's own tree is deeper (Larmore and Hirschberg 1990). */
  function packageMerge(leaves) {
    const isLeaf = [leaves.map(() => true)];
    let merged = leaves;
    for (let round = 1; round < MAX_LENGTH; round++) {
      const next = [];
      const flags = [];
      let leaf = 0;
      let pair = 0;
      const nPairs = merged.length >> 1;
      while (leaf < leaves.length || pair < nPairs) {
        const packaged = pair < nPairs ? merged[2 * pair] + merged[2 * pair + 1] : Infinity;
        const takesLeaf = leaf < leaves.length && leaves[leaf] <= packaged;
        flags.push(takesLeaf);
        next.push(takesLeaf ? leaves[leaf++] : packaged);
        if (!takesLeaf) pair++;
      }
      merged = next;
      isLeaf.push(flags);
    }
    const lengths = new Array(leaves.length).fill(0);
    let nTaken = 2 * leaves.length - 2;
    for (const flags of isLeaf.reverse()) {
      const nLeaves = flags.slice(0, nTaken).filter(Boolean).length;
      for (let i = 0; i < nLeaves; i++) lengths[i]++;
      nTaken = 2 * (nTaken - nLeaves);
    }
    return lengths;
  }

  /** Code lengths for the gaps of nKept weights strewn evenly over nCells cells (the geometric law).
   *
   *  In integers, because both sides must get the same; BigInt, because the products reach 2 ** 63.
   */
  function lawLengths(nKept, nCells, width) {
    const counts = [];
    const [all, pruned] = [BigInt(nCells), BigInt(nCells - nKept)];
    let left = 2n ** 30n;
    for (let gap = 0; gap < 2 ** width - 1; gap++) {
      const still = (left * pruned) / all;
      counts.push(Math.max(Number(left - still), 1));
      left = still;
    }
    counts.push(Math.max(Number(left), 1));
    return codeLengths(counts);
  }

  /** The code of each symbol as a text of 0 and 1, from the lengths; "" where there is none.
   *
   *  For pages that show codes: reading a stream needs no such list, as the table below is filled in order.
   */
  function canonicalCodes(lengths) {
    const codes = Array.from(lengths, () => "");
    let code = 0;
    for (let length = 1; length <= MAX_LENGTH; length++) {
      code *= 2; // one more bit; codes of a length follow each other
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] === length) codes[symbol] = (code++).toString(2).padStart(length, "0");
      }
    }
    return codes;
  }

  /** Throw unless the lengths are a complete code: every sequence of bits then has exactly one meaning. */
  function checkLengths(lengths, reader, field) {
    let nUsed = 0;
    let kraft = 0; // the sum of 2 ** -length, in units of 2 ** -15
    let longest = 0;
    for (const length of lengths) {
      if (!length) continue;
      nUsed++;
      kraft += 2 ** (MAX_LENGTH - length);
      longest = Math.max(longest, length);
    }
    if (nUsed === 1 && longest !== 1) throw reader.error(field, `one symbol of ${longest} bits`, "1 bit");
    if (nUsed > 1 && kraft !== 2 ** MAX_LENGTH) {
      throw reader.error(field, `a Kraft sum of ${kraft}/32768`, "a complete code: exactly 1");
    }
    return { nUsed, longest };
  }

  /** Read nSymbols symbols in the code of these lengths: the bits' number, entry points, then the codes. */
  function readStream(reader, nSymbols, lengths, field, kind) {
    const nBits = reader.varint(`${field} bits`, nSymbols * MAX_LENGTH);
    const entryBytes = nSymbols >= LANE_SYMBOLS ? 4 * (N_LANES - 1) : 0;
    const data = reader.take(entryBytes + Math.ceil(nBits / 8), field, kind, (8 - (nBits % 8)) % 8);
    const { nUsed, longest } = checkLengths(lengths, reader, field);
    if (nBits < nSymbols || (nSymbols > 0 && nUsed === 0)) {
      throw reader.error(field, `${nBits} bits for ${nSymbols} symbols of ${nUsed} kinds`, "1 to 15 bits each");
    }
    const out = lengths.length > 256 ? new Uint16Array(nSymbols) : new Uint8Array(nSymbols);
    if (nSymbols === 0) return out;
    const bits = data.subarray(entryBytes);
    if (nBits % 8 && bits[bits.length - 1] & (0xff >> nBits % 8)) {
      throw reader.error(field, "set bits behind the last code", "zero bits");
    }
    // Look-up by the next `longest` bits: a code of n bits owns 2 ** (longest - n) entries in a row. Canonical
    // codes ascend with length, then symbol, so the table is filled from its beginning to its end.
    const symbolOf = new Uint16Array(2 ** longest);
    const lengthOf = new Uint8Array(2 ** longest); // 0: no code begins so
    let entry = 0;
    for (let length = 1; length <= longest; length++) {
      for (let symbol = 0; symbol < lengths.length; symbol++) {
        if (lengths[symbol] !== length) continue;
        const owned = 2 ** (longest - length);
        symbolOf.fill(symbol, entry, entry + owned);
        lengthOf.fill(length, entry, entry + owned);
        entry += owned;
      }
    }
    // Entry points let a decoder start at four places at once. One that goes through from the start, as this
    // one does, has to check that they are true.
    const starts = [0]; // of the quarters, in bits
    const entries = new DataView(data.buffer, data.byteOffset, entryBytes);
    for (let i = 0; i < entryBytes / 4; i++) starts.push(starts[i] + entries.getUint32(4 * i, true));
    let bit = 0;
    let at = 0;
    for (let lane = 0; lane < starts.length; lane++) {
      const stop = entryBytes ? Math.floor(((lane + 1) * nSymbols) / N_LANES) : nSymbols;
      const end = lane + 1 < starts.length ? starts[lane + 1] : nBits;
      for (; at < stop; at++) {
        const byte = bit >>> 3;
        const next = ((bits[byte] << 16) | (bits[byte + 1] << 8) | bits[byte + 2]) & 0xffffff; // zeros at the end
        const peek = ((next << (bit & 7)) & 0xffffff) >>> (24 - longest);
        const length = lengthOf[peek];
        if (length === 0 || bit + length > nBits) {
          throw reader.error(field, `${nBits} bits`, `the codes of ${nSymbols} symbols`);
        }
        out[at] = symbolOf[peek];
        bit += length;
      }
      if (bit !== end) throw reader.error(field, `a quarter that ends at bit ${bit}`, `bit ${end}`);
    }
    return out;
  }

  // ------------------------------------------------------------------------------------------ blocks

  /** Read the code lengths of nKinds symbols: runs, each a length and how often it comes. */
  function readTable(reader, nKinds, field) {
    const lengths = new Uint8Array(nKinds);
    if (nKinds === 0) return lengths;
    let pending = 0; // bits that have been taken and not used
    let nPending = 0;

    function number(nBits) {
      while (nPending < nBits) {
        pending = pending * 256 + reader.byte(field, "table");
        nPending += 8;
      }
      nPending -= nBits;
      const value = Math.floor(pending / 2 ** nPending);
      pending %= 2 ** nPending;
      return value;
    }

    let at = 0;
    let length = number(4);
    for (;;) {
      let nZeros = 0; // Elias's gamma code: as many zeros as bits follow the leading one
      while (number(1) === 0) {
        nZeros++;
        if (2 ** nZeros > nKinds) throw reader.error(field, `a run of more than ${nKinds}`, "a shorter one");
      }
      const run = 2 ** nZeros + number(nZeros);
      if (run > nKinds - at) throw reader.error(field, `${at + run} lengths`, `${nKinds} lengths`);
      lengths.fill(length, at, at + run);
      at += run;
      if (at === nKinds) break;
      const previous = length;
      if (number(1) === 0) length++;
      else if (number(1) === 0) length--;
      else length = number(4);
      if (length < 0 || length > MAX_LENGTH || length === previous) {
        throw reader.error(field, length, `another length of 0 to ${MAX_LENGTH}`);
      }
    }
    if (pending) throw reader.error(field, "set bits behind the table", "zero bits");
    reader.bits.table -= nPending;
    reader.bits.padding += nPending;
    return lengths;
  }

  /** Read nSymbols symbols below nKinds. Where kinds are few, one code stands for several symbols. */
  function readBlocks(reader, nSymbols, nKinds, field, kind) {
    const size = reader.byte(`${field} block`, "header", MAX_BLOCK);
    const nBlockKinds = nKinds ** size;
    if (size === 0 || (size > 1 && nBlockKinds > MAX_BLOCK_KINDS)) {
      throw reader.error(`${field} block`, size, `blocks of at most ${MAX_BLOCK_KINDS} kinds`);
    }
    const lengths = readTable(reader, nBlockKinds, `${field} code lengths`);
    const blocks = readStream(reader, Math.ceil(nSymbols / size), lengths, field, kind);
    if (size === 1) return blocks;
    const symbols = new Uint8Array(nSymbols);
    for (let i = 0, at = 0; i < blocks.length; i++) {
      let block = blocks[i];
      for (let k = 0; k < size; k++) {
        if (at < nSymbols) symbols[at++] = block % nKinds;
        else if (block % nKinds) throw reader.error(field, "a last block filled up otherwise", "zeros");
        block = Math.floor(block / nKinds);
      }
    }
    return symbols;
  }

  // --------------------------------------------------------------------------------------- positions

  /** Rows, columns and taps of a shape: the first axis, the second, all others. A vector has one row. */
  function axisSizes(shape) {
    const product = (sizes) => sizes.reduce((a, b) => a * b, 1);
    return shape.length < 2 ? [1, product(shape), 1] : [shape[0], shape[1], product(shape.slice(2))];
  }

  /** Read the ascending positions of nKept weights (of nWeights), flat and row-major. */
  function readPositions(reader, shape, nWeights, nKept, budget) {
    const sizes = axisSizes(shape);
    const [nRows, nColumns, nTaps] = sizes;
    const canLabel = nRows <= MAX_LABELLED && nColumns * nTaps <= MAX_LABELLED;
    const labelled = reader.byte("labelled axes", "index", canLabel ? 7 : 0);
    const positions = new Uint32Array(nKept);
    let nRead = 0;
    if (labelled === 0) {
      if (nWeights) nRead = readZone(reader, nWeights, positions, 0, budget);
    } else {
      const [rowLabels, columnLabels, tapLabels] = sizes.map((size, axis) => {
        if (!((labelled >> axis) & 1)) return new Uint8Array(size).fill(1);
        const most = reader.byte("labels", "index", MAX_LABEL);
        return readBlocks(reader, size, most + 1, "labels", "index");
      });
      // A strand is a column and a tap; those with the same sum of labels stand together, in their order.
      const strands = Array.from({ length: 2 * MAX_LABEL + 1 }, () => []);
      for (let column = 0; column < nColumns; column++) {
        for (let tap = 0; tap < nTaps; tap++) {
          const [one, other] = [columnLabels[column], tapLabels[tap]];
          if (one && other) strands[one + other].push(column * nTaps + tap);
        }
      }
      const rowsOf = new Array(MAX_LABEL + 1).fill(0);
      for (const label of rowLabels) rowsOf[label]++;
      for (let sum = 3; sum <= 3 * MAX_LABEL; sum++) {
        let nCells = 0;
        for (let label = 1; label <= MAX_LABEL; label++) {
          nCells += rowsOf[label] * (strands[sum - label] || []).length;
        }
        if (nCells === 0) continue;
        const stop = readZone(reader, nCells, positions, nRead, budget);
        // Numbers within the zone become positions: go through the rows, each with its strands of the zone.
        let row = -1;
        let before = 0;
        let here = [];
        for (; nRead < stop; nRead++) {
          while (positions[nRead] - before >= here.length) {
            before += here.length;
            row++;
            here = rowLabels[row] ? strands[sum - rowLabels[row]] || [] : [];
          }
          positions[nRead] = row * nColumns * nTaps + here[positions[nRead] - before];
        }
      }
    }
    if (nRead < nKept) throw reader.error("positions", nRead, `one per kept weight: ${nKept}`);
    return labelled ? positions.sort() : positions;
  }

  /** Read the numbers of the kept weights within a zone to out[at...]; return where they end. */
  function readZone(reader, nCells, out, at, budget) {
    const coding = reader.byte("zone", "index", 16 + MAX_WIDTH);
    const room = out.length - at;
    if (coding === 0) return at; // nothing is kept
    if (coding === 14) {
      if (nCells > room) throw reader.error("zone", `${nCells} kept weights`, `at most ${room}`);
      for (let i = 0; i < nCells; i++) out[at + i] = i;
      return at + nCells;
    }
    if (coding === 13) return readBitmap(reader, nCells, out, at);
    if (coding === 15 || coding === 16) throw reader.error("zone", coding, "a known coding");
    const width = coding % 16;
    let nKept = null; // known only where the code is that of the geometric law
    let nGaps;
    if (coding > 16) {
      nKept = reader.varint("kept weights", Math.min(room, nCells), "index");
      nGaps = nKept + reader.varint("skips", 8 * reader.left, "index");
    } else nGaps = reader.varint("gaps", 64 * reader.left, "index");
    budget.charge(PER_GAP * nGaps, reader, "gaps");
    const gaps = coding > 16
      ? readStream(reader, nGaps, lawLengths(nKept, nCells, width), "gaps", "index")
      : readBlocks(reader, nGaps, 2 ** width, "gaps", "index");
    const skip = 2 ** width - 1; // passes so many cells, and stands for none
    if (nGaps === 0 || gaps[nGaps - 1] === skip) throw reader.error("gaps", "a skip at the end", "a kept weight");
    let position = -1;
    const start = at;
    for (const gap of gaps) {
      position += gap;
      if (gap === skip) continue;
      position++;
      if (at === out.length) throw reader.error("gaps", "more kept weights", `at most ${room}`);
      if (position >= nCells) {
        throw reader.error("zone", `a kept weight in cell ${position}`, `at most ${nCells - 1}`);
      }
      out[at++] = position;
    }
    if (nKept !== null && at - start !== nKept) {
      throw reader.error("gaps", `${at - start} kept weights`, `as many as announced: ${nKept}`);
    }
    budget.giveBack(PER_GAP * nGaps);
    return at;
  }

  /** Read a bit per cell, the first in the highest bit of the first byte. */
  function readBitmap(reader, nCells, out, at) {
    const bitmap = reader.take(Math.ceil(nCells / 8), "bitmap", "index", (8 - (nCells % 8)) % 8);
    for (let cell = 0; cell < 8 * bitmap.length; cell++) {
      if (!(bitmap[cell >>> 3] & (0x80 >> (cell & 7)))) continue;
      if (cell >= nCells) throw reader.error("bitmap", "set bits behind the last cell", "zero bits");
      if (at === out.length) throw reader.error("bitmap", "more kept weights", `at most ${out.length}`);
      out[at++] = cell;
    }
    return at;
  }

  // ----------------------------------------------------------------------------------------- tensors

  /** A half-precision float, from its 16 bits: a sign, 5 bits of exponent, 10 of fraction. */
  function fromFloat16(bits) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    if (exponent === 0) return sign * fraction * 2 ** -24; // subnormal
    return sign * (1024 + fraction) * 2 ** (exponent - 25);
  }

  /** Read the tensor of a record. */
  function readTensor(reader, budget, isScales = false) {
    const kind = reader.byte("kind");
    const nAxes = reader.varint("axes", MAX_AXES);
    const shape = [];
    for (let axis = 0; axis < nAxes; axis++) shape.push(reader.varint("shape", MAX_WEIGHTS));
    const nWeights = shape.reduce((a, b) => a * b, 1);
    if (shape.reduce((a, b) => a * Math.max(b, 1), 1) > MAX_WEIGHTS) {
      throw reader.error("shape", `[${shape}]`, `at most ${MAX_WEIGHTS} weights`);
    }
    budget.charge(PER_WEIGHT * nWeights, reader, "shape");
    if (kind < SHARED) return readDense(reader, kind, shape, nWeights, budget);
    const hasScales = Boolean(kind & HAS_SCALES);
    if ((kind & ~HAS_SCALES) > SHARED + 1 || (hasScales && isScales)) {
      throw reader.error("kind", kind, "a dtype, or a codebook's dtype and row scales");
    }
    const codebook = readCodebook(reader, kind & 1);
    const coding = reader.byte("index coding", "header", 2);
    let positions = null; // every weight is kept
    let indices;
    if (coding === 0) {
      budget.charge(PER_INDEX * nWeights, reader, "values");
      indices = readBlocks(reader, nWeights, codebook.length, "values", "values");
    } else if (coding === 1) {
      const nKept = reader.varint("kept weights", nWeights);
      budget.charge(PER_KEPT * nKept, reader, "kept weights");
      indices = readBlocks(reader, nKept, codebook.length, "values", "values");
      positions = readPositions(reader, shape, nWeights, nKept, budget);
    } else [positions, indices] = readFillers(reader, nWeights, codebook.length, budget);
    const rowScales = hasScales ? readTensor(reader, budget, true) : null;
    if (rowScales && !(shape.length > 0 && rowScales.shape.length === 1 && rowScales.shape[0] === shape[0])) {
      throw reader.error("row scales", `shape [${rowScales.shape}]`, "one scale per row");
    }
    return {
      isShared: true, shape, nWeights, nKept: indices.length, codebook,
      codebookType: kind & 1 ? "float16" : "float32", positions, indices, rowScales,
    };
  }

  function readDense(reader, kind, shape, nWeights, budget) {
    if (kind >= DTYPES.length) throw reader.error("kind", kind, "a known dtype");
    const [dtype, itemBytes] = DTYPES[kind];
    budget.charge(itemBytes * nWeights, reader, "values");
    const raw = reader.take(nWeights * itemBytes, "values", "dense").slice(); // a copy begins at an even address
    if (dtype === "bool" && raw.some((byte) => byte > 1)) {
      throw reader.error("values", "a byte above 1", "0 or 1 for bool");
    }
    return { isShared: false, shape, nWeights, nKept: nWeights, dtype, raw, rowScales: null };
  }

  function readCodebook(reader, isHalf) {
    const nClusters = reader.varint("clusters", MAX_CLUSTERS);
    const raw = reader.take(nClusters * (isHalf ? 2 : 4), "codebook", "codebook");
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const codebook = new Float32Array(nClusters);
    for (let i = 0; i < nClusters; i++) {
      codebook[i] = isHalf ? fromFloat16(view.getUint16(2 * i, true)) : view.getFloat32(4 * i, true);
      if (!Number.isFinite(codebook[i]) || (i > 0 && codebook[i] <= codebook[i - 1])) {
        throw reader.error("codebook", `${codebook[i]}`, "finite, strictly ascending values");
      }
    }
    return codebook;
  }

  /** Read positions and indices as Deep Compression has them: where a gap is too long, a weight of zero. */
  function readFillers(reader, nWeights, nClusters, budget) {
    const nStored = reader.varint("stored weights", nWeights);
    budget.charge(PER_KEPT * nStored, reader, "stored weights");
    const values = readBlocks(reader, nStored, nClusters + 1, "values", "values");
    const width = reader.byte("gap bits", "index", MAX_WIDTH);
    if (width === 0) throw reader.error("gap bits", 0, `1 to ${MAX_WIDTH}`);
    const gaps = readBlocks(reader, nStored, 2 ** width, "gaps", "index");
    let nKept = 0;
    for (const value of values) nKept += value > 0 ? 1 : 0;
    const positions = new Uint32Array(nKept);
    const indices = new Uint16Array(nKept);
    let cell = -1;
    for (let i = 0, at = 0; i < nStored; i++) {
      cell += gaps[i] + 1;
      if (cell >= nWeights) throw reader.error("gaps", `a weight in cell ${cell}`, `at most ${nWeights - 1}`);
      if (values[i] === 0) continue;
      positions[at] = cell;
      indices[at++] = values[i] - 1;
    }
    return [positions, indices];
  }

  /** The values of a dense tensor in a typed array of their type (bool as Uint8Array, float16 as floats). */
  function valuesOf(tensor) {
    const { buffer } = tensor.raw;
    switch (tensor.dtype) {
      case "float32": return new Float32Array(buffer);
      case "float16": return Float32Array.from(new Uint16Array(buffer), fromFloat16);
      case "float64": return new Float64Array(buffer);
      case "uint16": return new Uint16Array(buffer);
      case "uint32": return new Uint32Array(buffer);
      case "uint64": return new BigUint64Array(buffer);
      case "int8": return new Int8Array(buffer);
      case "int16": return new Int16Array(buffer);
      case "int32": return new Int32Array(buffer);
      case "int64": return new BigInt64Array(buffer);
      default: return tensor.raw; // bool and uint8
    }
  }

  /** A 64-bit integer as a float32. Through float64 it would be rounded twice, and sometimes wrongly. */
  function floatOfBigInt(value) {
    let size = value < 0n ? -value : value;
    if (size >= 2n ** 53n) {
      const dropped = size & 2047n;
      size >>= 11n;
      if (dropped) size |= 1n; // keeps what lies above from looking like an exact tie
      return Math.fround(Number(size) * (value < 0n ? -2048 : 2048));
    }
    return Math.fround(Number(value));
  }

  /** A tensor as float32, zeros where weights were pruned, row scales multiplied in. */
  function toFloats(tensor) {
    if (!tensor.isShared) {
      const values = valuesOf(tensor);
      return Float32Array.from(values, typeof values[0] === "bigint" ? floatOfBigInt : Number);
    }
    const { positions, indices, codebook, nWeights } = tensor;
    const dense = new Float32Array(nWeights);
    for (let i = 0; i < indices.length; i++) dense[positions ? positions[i] : i] = codebook[indices[i]];
    if (tensor.rowScales && nWeights) {
      const scales = toFloats(tensor.rowScales);
      const rowSize = nWeights / tensor.shape[0];
      for (let row = 0, at = 0; row < scales.length; row++) {
        for (const stop = at + rowSize; at < stop; at++) dense[at] *= scales[row]; // rounded to float32 when stored
      }
    }
    return dense;
  }

  // ---------------------------------------------------------------------------------------- the file

  /** Read a whole file.
   *
   *  bytes: a Uint8Array. options.maxDenseBytes: the memory that the tensors may take; options.fields: a list
   *  to which {start, stop, field, kind, tensor} is appended for whatever has been read, also when the rest is
   *  refused. Returns {metadata, tensors, bits, records, fileBytes}: tensors and bits (by kind) are Maps by name,
   *  records say where each tensor's bytes are, and fileBytes are those that belong to no tensor. Throws DczError.
   */
  function load(bytes, options = {}) {
    // Positions are kept in 32 bits here, so that no limit above 2 ** 32 weights makes sense.
    const budget = new Budget(Math.min(options.maxDenseBytes ?? MAX_DENSE_BYTES, PER_WEIGHT * 2 ** 32));
    const fields = options.fields || [];
    const reader = new ByteReader(bytes, 0, bytes.length, "file", fields);
    const magic = reader.take(MAGIC.length, "magic");
    if (MAGIC.some((byte, i) => magic[i] !== byte)) {
      throw reader.error("magic", JSON.stringify(String.fromCharCode(...magic)), '"DCZ"; this is not a .dcz file');
    }
    const version = reader.byte("version");
    if (version !== VERSION) throw reader.error("version", version, `${VERSION}; a newer file needs a newer reader`);
    checkDigest(bytes, reader);
    const hasNames = reader.byte("names", "header", 1);
    const metadata = readMetadata(reader);
    const records = [];
    const nTensors = reader.varint("tensors", MAX_TENSORS);
    for (let number = 0; number < nTensors; number++) {
      const name = hasNames ? readName(reader) : String(number);
      if (hasNames && number > 0 && compareNames(records[number - 1].name, name) >= 0) {
        throw reader.error("names", `"${name}" after "${records[number - 1].name}"`, "ascending names");
      }
      records.push({ name, nBytes: reader.varint("bytes of the record", reader.left) });
    }
    const tensors = new Map();
    const bits = new Map();
    const fileBytes = reader.at + DIGEST_BYTES;
    let at = reader.at;
    for (const { name, nBytes } of records) {
      if (nBytes > bytes.length - at) throw reader.error(`record of ${name}`, `${bytes.length - at} bytes`, nBytes);
      at += nBytes;
    }
    if (bytes.length - at !== DIGEST_BYTES) {
      throw reader.error("end", `${bytes.length - at} bytes`, `a digest of ${DIGEST_BYTES}`);
    }
    at = reader.at;
    for (const record of records) {
      record.start = at;
      record.stop = at + record.nBytes;
      const recordReader = new ByteReader(bytes, record.start, record.stop, record.name, fields);
      tensors.set(record.name, readRecord(recordReader, budget));
      bits.set(record.name, recordReader.bits);
      at = record.stop;
    }
    fields.push({ start: at, stop: bytes.length, field: "digest", kind: "checksum", tensor: "file" });
    return { metadata, tensors, bits, records, fileBytes };
  }

  function checkDigest(bytes, reader) {
    const end = bytes.length - DIGEST_BYTES;
    if (end < reader.at || blake2b(bytes.subarray(0, end)).some((byte, i) => byte !== bytes[end + i])) {
      throw reader.error("digest", "another", "that of the content; the file is damaged");
    }
  }

  function readMetadata(reader) {
    const spelt = reader.take(reader.varint("bytes of metadata", MAX_METADATA_BYTES), "metadata");
    let text;
    try {
      text = fromUtf8(spelt);
    } catch (error) {
      throw reader.error("metadata", "other bytes", "UTF-8");
    }
    return parseCanonicalJson(text);
  }

  function readName(reader) {
    const spelt = reader.take(reader.varint("bytes of a name", MAX_NAME_BYTES), "name");
    try {
      return fromUtf8(spelt);
    } catch (error) {
      throw reader.error("name", "other bytes", "UTF-8");
    }
  }

  /** Read one record; its checksum covers the name, so that records cannot change places. */
  function readRecord(reader, budget) {
    const end = reader.stop - CRC_BYTES;
    if (end < reader.at) throw reader.error("checksum", `${reader.left} bytes`, `at least ${CRC_BYTES}`);
    const name = new TextEncoder().encode(reader.where);
    const view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset + end, CRC_BYTES);
    if (crc32(name, reader.bytes.subarray(reader.at, end)) !== view.getUint32(0, true)) {
      throw reader.error("checksum", "another", "the record's; the file is damaged");
    }
    reader.stop = end;
    const tensor = readTensor(reader, budget);
    reader.done();
    reader.stop += CRC_BYTES;
    reader.take(CRC_BYTES, "checksum", "checksum");
    return tensor;
  }

  // ------------------------------------------------------------------------------------ the networks

  // Layers by name, in the order of the data. A file without names has its tensors in the same order, each
  // weight before its bias.
  const NETWORKS = {
    lenet_300_100: { input: [1, 28, 28], layers: ["fc1", "relu", "fc2", "relu", "fc3"] },
    lenet_5: { input: [1, 28, 28], layers: ["conv1", "pool", "conv2", "pool", "fc1", "relu", "fc2"] },
    vgg16: { input: [3, 32, 32], layers: vggLayers() },
  };

  /** VGG-16's layers for 32 x 32 pixels; the numbers count convolutions, ReLUs and poolings. */
  function vggLayers() {
    const layers = [];
    let number = 0;
    for (const nConvolutions of [2, 2, 3, 3, 3]) {
      for (let k = 0; k < nConvolutions; k++) {
        layers.push(`features.${number}`, "relu");
        number += 2;
      }
      layers.push("pool");
      number += 1;
    }
    return [...layers, "classifier.0", "relu", "classifier.2"];
  }

  /** The network of a model: its layers with float32 weights, batch norm multiplied in.
   *
   *  Throws DczError where the file holds another network, or the tensors do not fit each other.
   */
  function network(model) {
    const plan = Object.hasOwn(NETWORKS, model.metadata.architecture) && NETWORKS[model.metadata.architecture];
    if (!plan) {
      throw new DczError(`architecture: got ${JSON.stringify(model.metadata.architecture ?? null)}, ` +
                         `expected one of ${Object.keys(NETWORKS).join(", ")}`);
    }
    const names = plan.layers.filter((layer) => layer !== "relu" && layer !== "pool");
    if (model.tensors.size !== 2 * names.length) {
      throw new DczError(`file: got ${model.tensors.size} tensors, expected ${2 * names.length}`);
    }
    const isNamed = model.tensors.has(`${names[0]}.weight`);
    const layers = [];
    let shape = plan.input; // of what flows between the layers
    for (const layer of plan.layers) {
      if (layer === "relu") layers.push({ type: "relu", shape });
      else if (layer === "pool") {
        shape = [shape[0], Math.floor(shape[1] / 2), Math.floor(shape[2] / 2)];
        layers.push({ type: "pool", shape });
      } else {
        const place = 2 * names.indexOf(layer);
        const weight = model.tensors.get(isNamed ? `${layer}.weight` : String(place));
        const bias = model.tensors.get(isNamed ? `${layer}.bias` : String(place + 1));
        shape = shapeBehind(layer, shape, weight, bias);
        const type = weight.shape.length === 4 ? "conv" : "linear";
        const padding = model.metadata.architecture === "vgg16" ? 1 : 0;
        layers.push({ type, name: layer, shape, padding, kernel: weight.shape[2], tensor: weight,
                      weight: toFloats(weight), bias: toFloats(bias) });
      }
    }
    return { architecture: model.metadata.architecture, input: plan.input, layers, nClasses: shape[0] };
  }

  /** Shape of a layer's output; throws where weight and bias do not fit its input. */
  function shapeBehind(name, [channels, height, width], weight, bias) {
    const size = weight && weight.shape;
    const isConvolution = !/fc|classifier/.test(name);
    const isVgg = name.startsWith("features");
    const expected = isConvolution ? [channels, isVgg ? 3 : 5, isVgg ? 3 : 5] : [channels * height * width];
    const fits = size && bias && size.length === expected.length + 1 && size[0] >= 1 &&
                 expected.every((length, i) => size[i + 1] === length) &&
                 bias.shape.length === 1 && bias.shape[0] === size[0];
    if (!fits) {
      throw new DczError(`${name}: got a weight of shape [${size}] and a bias of [${bias && bias.shape}], ` +
                         `expected [n,${expected}] and [n]`);
    }
    if (!isConvolution) return [size[0], 1, 1];
    const shrink = isVgg ? 0 : 4;
    return [size[0], height - shrink, width - shrink];
  }

  /** The network's outputs before softmax: a Float32Array with one number per class.
   *
   *  input: a Float32Array of channels * height * width normalized pixels. watch(layer, values), if given, is
   *  called with every layer's output.
   */
  function forward(net, input, watch = null) {
    const expected = net.input.reduce((a, b) => a * b);
    if (input.length !== expected) throw new DczError(`input: got ${input.length} values, expected ${expected}`);
    let values = Float32Array.from(input);
    let shape = net.input;
    for (const layer of net.layers) {
      if (layer.type === "conv") values = convolve(values, shape, layer);
      else if (layer.type === "linear") values = multiply(values, layer);
      else if (layer.type === "pool") values = pool(values, shape);
      else values = values.map((value) => Math.max(value, 0));
      shape = layer.shape;
      if (watch) watch(layer, values);
    }
    return values;
  }

  /** A convolution of stride 1. The loops go over the weights outside and over the pixels inside, so that a
   *  pruned weight costs one comparison: here a sparse network is a fast one. */
  function convolve(input, [channels, height, width], layer) {
    const { weight, bias, kernel, padding, shape: [nOut, outHeight, outWidth] } = layer;
    const output = new Float32Array(nOut * outHeight * outWidth);
    let at = 0; // in the weights: output channel, input channel, row, column
    for (let out = 0; out < nOut; out++) {
      const plane = output.subarray(out * outHeight * outWidth, (out + 1) * outHeight * outWidth);
      plane.fill(bias[out]);
      for (let channel = 0; channel < channels; channel++) {
        const source = input.subarray(channel * height * width, (channel + 1) * height * width);
        for (let row = -padding; row < kernel - padding; row++) {
          for (let column = -padding; column < kernel - padding; column++) {
            const factor = weight[at++];
            if (factor === 0) continue;
            // Of the output, the part whose input lies inside the picture: outside there are zeros.
            const [top, bottom] = [Math.max(0, -row), Math.min(outHeight, height - row)];
            const [left, right] = [Math.max(0, -column), Math.min(outWidth, width - column)];
            for (let y = top; y < bottom; y++) {
              const to = y * outWidth;
              const from = (y + row) * width + column;
              for (let x = left; x < right; x++) plane[to + x] += factor * source[from + x];
            }
          }
        }
      }
    }
    return output;
  }

  /** A fully connected layer: weight times input, plus bias. */
  function multiply(input, { weight, bias }) {
    const output = new Float32Array(bias.length);
    for (let row = 0, at = 0; row < bias.length; row++) {
      let sum = bias[row];
      for (let i = 0; i < input.length; i++) sum += weight[at++] * input[i];
      output[row] = sum;
    }
    return output;
  }

  /** The largest of each 2 x 2 pixels. */
  function pool(input, [channels, height, width]) {
    const [outHeight, outWidth] = [Math.floor(height / 2), Math.floor(width / 2)];
    const output = new Float32Array(channels * outHeight * outWidth);
    let at = 0;
    for (let channel = 0; channel < channels; channel++) {
      for (let y = 0; y < outHeight; y++) {
        for (let x = 0; x < outWidth; x++) {
          const corner = (channel * height + 2 * y) * width + 2 * x;
          output[at++] = Math.max(input[corner], input[corner + 1], input[corner + width], input[corner + width + 1]);
        }
      }
    }
    return output;
  }

  /** Probabilities from logits. */
  function softmax(logits) {
    const most = Math.max(...logits); // subtracted, so that no exponential overflows
    const powers = Array.from(logits, (logit) => Math.exp(logit - most));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  return {
    DczError, load, network, forward, softmax, toFloats, valuesOf, codeLengths, canonicalCodes, lawLengths, blake2b, crc32,
    compareNames, parseCanonicalJson, fromFloat16,
  };
})();

if (typeof module !== "undefined") module.exports = DCZ;

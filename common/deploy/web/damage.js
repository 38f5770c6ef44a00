/* Damage to a .dcz file: flip a bit, make the checksums right again, ask the reader. Needs dcz.js. */
"use strict";

const Damage = (() => {
  /** A copy of the file with one bit changed; bit 7 is the highest of its byte. */
  function flip(bytes, at, bit) {
    const copy = bytes.slice();
    copy[at] ^= 1 << bit;
    return copy;
  }

  /** What a reader says: {model, error, fields}, one of model and error null; fields: what was read, in order. */
  function ask(bytes, options = {}) {
    const fields = [];
    try {
      return { model: DCZ.load(bytes, { ...options, fields }), error: null, fields };
    } catch (error) {
      if (!(error instanceof DCZ.DczError)) throw error;
      return { model: null, error: error.message, fields };
    }
  }

  /** A copy whose checksums are right: CRC-32 of every record, then the digest of the whole file.
   *  records: those of the sound file, as DCZ.load returns them. */
  function sign(bytes, records) {
    const copy = bytes.slice();
    const view = new DataView(copy.buffer);
    for (const { name, start, stop } of records) {
      const sum = DCZ.crc32(new TextEncoder().encode(name), copy.subarray(start, stop - 4));
      view.setUint32(stop - 4, sum, true);
    }
    copy.set(DCZ.blake2b(copy.subarray(0, copy.length - 8)), copy.length - 8);
    return copy;
  }

  /** How many weights differ between two models; Infinity where they do not hold the same tensors. */
  function countDifferences(one, other) {
    let count = 0;
    for (const [name, tensor] of one.tensors) {
      const [a, b] = [DCZ.toFloats(tensor), other.tensors.has(name) ? DCZ.toFloats(other.tensors.get(name)) : []];
      if (a.length !== b.length) return Infinity;
      for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) count++;
    }
    return count;
  }

  return { flip, ask, sign, countDifferences };
})();

if (typeof module !== "undefined") module.exports = Damage;

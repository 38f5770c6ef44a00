// What dcz.js makes of files: frames of (uint32 length, bytes) on stdin, one line of JSON per file on stdout:
// {"error": message}, or {"metadata": ..., "tensors": [[name, sha256], ...], "bits": ..., "fileBytes": ...}.
//
//     node answers.js dcz.js maxDenseBytes < frames
"use strict";

const { createHash } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const DCZ = require(resolve(process.argv[2]));
const maxDenseBytes = Number(process.argv[3]);
const frames = readFileSync(0);

function bytesOf(array) {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

/** Every part of a tensor, as oracle `digest_of` in test_web_decoder.py has it. */
function digestOf(tensor) {
  const hash = createHash("sha256");
  hash.update(JSON.stringify([tensor.isShared, tensor.shape, tensor.dtype || tensor.codebookType]));
  if (!tensor.isShared) return hash.update(tensor.raw).digest("hex");
  hash.update(bytesOf(tensor.codebook)).update(bytesOf(Uint16Array.from(tensor.indices)));
  hash.update(tensor.positions ? bytesOf(tensor.positions) : "all");
  const dense = DCZ.toFloats(tensor);
  const bits = new Uint32Array(dense.buffer);
  for (let i = 0; i < dense.length; i++) if (Number.isNaN(dense[i])) bits[i] = 0x7fc00000; // any NaN is NaN
  hash.update(bytesOf(dense));
  if (tensor.rowScales) hash.update(digestOf(tensor.rowScales));
  return hash.digest("hex");
}

/** JSON.stringify knows no BigInt; Python's tests read these back as integers. */
function spell(value) {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `big:${part}` : part));
}

for (let at = 0; at < frames.length; ) {
  const nBytes = frames.readUInt32LE(at);
  const bytes = new Uint8Array(frames.buffer, frames.byteOffset + at + 4, nBytes);
  at += 4 + nBytes;
  try {
    const model = DCZ.load(bytes, { maxDenseBytes });
    const tensors = Array.from(model.tensors, ([name, tensor]) => [name, digestOf(tensor)]);
    const bits = Object.fromEntries(model.bits);
    console.log(spell({ metadata: model.metadata, tensors, bits, fileBytes: model.fileBytes }));
  } catch (error) {
    if (!(error instanceof DCZ.DczError)) throw error; // anything else is a fault of the reader
    console.log(spell({ error: error.message }));
  }
}

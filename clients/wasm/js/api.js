// What the package exports: the same in browsers and in Node.js. What is documented stands in index.d.ts.
import * as wasm from "./poa_verify_wasm.js";

const encoder = new TextEncoder();

export class VerifyError extends Error {
  constructor({ code, message }) {
    super(message);
    this.name = "VerifyError";
    this.code = code;
  }
}

export function verify(bundle, trustRoot, options) {
  return valueOf(wasm.verify(bytes(bundle, "bundle"), bytes(trustRoot, "trustRoot"), written(options)));
}

export function verifyBalance(proof, trustRoot, options) {
  return valueOf(wasm.verifyBalance(bytes(proof, "proof"), bytes(trustRoot, "trustRoot"), written(options)));
}

export function trustRootDigest(file) {
  return valueOf(wasm.trustRootDigest(bytes(file, "file")));
}

export function digestOfStatement(payload) {
  return wasm.digestOfStatement(bytes(payload, "payload"));
}

function valueOf(answer) {
  const { value, error } = JSON.parse(answer);
  if (error !== undefined) throw new VerifyError(error);
  return value;
}

function bytes(value, name) {
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof Uint8Array) return value;
  // A Uint8Array of another realm, such as a frame's or a worker's.
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw new TypeError(`${name} must be a string or a Uint8Array`);
}

// Options as the verifier reads them. Whatever is undefined was not asked for; a name that is not known is refused.
function written({ time, ...options } = {}) {
  if (typeof options.minLogSize === "bigint") options.minLogSize = Number(options.minLogSize);
  return JSON.stringify({ ...options, timeMs: milliseconds(time) });
}

function milliseconds(time = Date.now()) {
  const at = new Date(time).getTime();
  if (Number.isNaN(at)) throw new VerifyError({ code: "options", message: "the options: time is no moment" });
  return at;
}

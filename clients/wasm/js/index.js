// For browsers and bundlers: the module's WebAssembly is fetched from beside this file before an import of it is done.
import load from "./poa_verify_wasm.js";

await load({ module_or_path: new URL("./poa_verify_wasm_bg.wasm", import.meta.url) });

export * from "./api.js";

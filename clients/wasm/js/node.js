// For Node.js: the module's WebAssembly is read from beside this file.
import { readFileSync } from "node:fs";

import { initSync } from "./poa_verify_wasm.js";

initSync({ module: readFileSync(new URL("./poa_verify_wasm_bg.wasm", import.meta.url)) });

export * from "./api.js";

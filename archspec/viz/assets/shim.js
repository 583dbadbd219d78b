// What the layout engine expects of a browser and a bare JavaScript engine lacks.
globalThis.location = { href: "" };
globalThis.console = { log() {}, error() {} };
globalThis.TextDecoder = class {
  decode(bytes) {
    let text = "";
    for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode(...bytes.subarray(k, k + 8192));
    return decodeURIComponent(escape(text));
  }
};
globalThis.TextEncoder = class {
  encode(text) {
    return Uint8Array.from(unescape(encodeURIComponent(text)), (c) => c.charCodeAt(0));
  }
};

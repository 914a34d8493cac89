// What scripts that run three.js without a browser share.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** A module by its path in the folder that `npm ci` filled. */
export const load = (path) => import(pathToFileURL(join(process.env.CHARACTER3D_NODE_MODULES, path)).href);

/** A file's bytes as an ArrayBuffer of their own. */
export const readBuffer = (path) => {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
};

/** Be what the loaders want of a browser: blobs with a URL, and an <img> that is loaded at once. Returns the blobs. */
export const standIn = () => {
  const pictures = [];
  globalThis.window = globalThis;
  globalThis.self = globalThis;
  globalThis.document = {
    createElementNS: () => {
      const listeners = {};
      return {
        addEventListener: (name, listener) => (listeners[name] = listener),
        removeEventListener() {},
        set src(_) {
          setTimeout(() => listeners.load?.call(this));
        },
      };
    },
  };
  URL.createObjectURL = (blob) => `blob:${pictures.push(blob)}`;
  return pictures;
};

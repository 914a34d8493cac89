/** The service's routes, relative to wherever this page is served. */

const BASE = new URL(".", document.baseURI);
const KEY = "c3d.key";
const POLL = 2500;

let askKey = async () => null;

/** Set what asks a person for an API key; it resolves to the key, or null. */
export function onKeyNeeded(ask) {
  askKey = ask;
}

/** The API key of this browser, if one was given. */
export const storedKey = () => localStorage.getItem(KEY);

/** Keep an API key, or forget it. */
export function storeKey(key) {
  if (key) localStorage.setItem(KEY, key);
  else localStorage.removeItem(KEY);
}

/** The address of a path of the service, below any prefix. */
export const locate = (path) => new URL(path.replace(/^\/+/, ""), BASE);

/** An answer that is no success: what the service says of it. */
export class ServiceError extends Error {
  constructor(status, body, retryAfter) {
    super(body?.message ?? `HTTP ${status}`);
    Object.assign(this, { status, details: body?.details ?? {}, code: body?.error_code, retryAfter });
  }
}

/** Ask the service; returns the Response. Raises ServiceError, or TypeError where there is no connection. */
export async function ask(path, options = {}) {
  const headers = { ...options.headers };
  const key = storedKey();
  if (key) headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(locate(path), { ...options, headers });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  if (answer.status === 401) {
    const given = await askKey();
    if (given) return ask(path, options);
  }
  throw new ServiceError(answer.status, body, answer.headers.get("Retry-After"));
}

/** The same, as JSON. */
export const askJson = async (path, options) => (await ask(path, options)).json();

/** Send a form; returns the JSON answer. */
export const sendForm = (path, form, options = {}) => askJson(path, { method: "POST", body: form, ...options });

const TYPES = { png: "image/png", jpg: "image/jpeg", webp: "image/webp" };

/** A file of a job as a Blob that an <img> can show. */
export async function fetchBlob(path) {
  const bytes = await (await ask(path)).arrayBuffer();
  const type = TYPES[path.split(".").at(-1).toLowerCase()] ?? "application/octet-stream";
  return new Blob([bytes], { type });
}

/** Give a Blob to the browser's downloads. */
export function saveBlob(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** Download a file of a job: by the browser itself where no key is needed. */
export async function download(file) {
  if (storedKey()) return saveBlob(await fetchBlob(file.url), file.name);
  const link = document.createElement("a");
  link.href = locate(file.url);
  link.download = file.name;
  return link.click();
}

/**
 * Follow a job: `tell` is called with each new status, the last one of an ended job. Returns a function that stops.
 *
 * Events push; the status is asked for as well, since some proxies hold events back.
 */
export function followJob(id, tell, fail) {
  const key = storedKey();
  const query = key ? `?api_key=${encodeURIComponent(key)}` : "";
  const stream = new EventSource(locate(`job/${id}/events${query}`));
  const timer = setInterval(poll, POLL);
  let stopped = false;

  function stop() {
    stopped = true;
    stream.close();
    clearInterval(timer);
  }
  function receive(status) {
    if (stopped || !status?.status) return;
    if (status.status !== "processing") stop();
    tell(status);
  }
  async function poll() {
    try {
      receive(await askJson(`job/${id}/status`));
    } catch (error) {
      if (stopped || !(error instanceof ServiceError)) return; // no connection: the next one may be better
      stop();
      fail(error);
    }
  }
  for (const type of ["progress_update", "job_completed", "error"]) {
    stream.addEventListener(type, (event) => event.data && receive(JSON.parse(event.data).data));
  }
  stream.addEventListener("preview_ready", poll);
  poll();
  return stop;
}

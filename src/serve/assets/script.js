// Replaces the parts of a page that change, such as a run at work. Pages are whole without it.
"use strict";

const etags = new Map();

async function refresh(part) {
  const path = part.dataset.refresh;
  if (document.hidden) return;
  const headers = { "X-Part": "1" };
  if (etags.has(path)) headers["If-None-Match"] = etags.get(path);
  try {
    const answer = await fetch(path, { headers, redirect: "error" });
    if (answer.status === 200) {
      etags.set(path, answer.headers.get("ETag"));
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      part.replaceChildren(...fresh.body.childNodes);
    }
  } catch {
    // The server may be away for a moment; the next time tells.
  }
}

for (const part of document.querySelectorAll("[data-refresh]")) {
  setInterval(() => refresh(part), 1000 * Number(part.dataset.seconds || 15));
}

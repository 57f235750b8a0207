// The served page's stand-in for a notebook's model: messages become requests.

import widget from "./widget.js";

const labels = await (await fetch("labels.json")).json();
const handlers = new Set();

function request({ ask, event, name }) {
  if (ask === "view") return fetch("view");
  if (ask === "stimulus") return fetch(`stimulus/${name}`);
  const headers = { "Content-Type": "application/json" };
  return fetch("event", { method: "POST", headers, body: JSON.stringify(event) });
}

async function answer(question) {
  try {
    const response = await request(question);
    if (response.status >= 500) return [{ failed: true }];
    if (response.status >= 400) return [{ gone: true }];
    if (question.ask !== "stimulus") return [{ view: await response.json() }];
    return [{}, [new DataView(await response.arrayBuffer())]];
  } catch (error) {
    if (!(error instanceof TypeError)) throw error; // fetch: no connection
    return [{ failed: true }];
  }
}

widget.render({
  el: document.querySelector("main"),
  model: {
    get: (name) => ({ labels })[name],
    on: (_, handler) => handlers.add(handler),
    off: (_, handler) => handlers.delete(handler),
    async send(question) {
      const [reply, buffers = []] = await answer(question);
      for (const handler of handlers) handler({ id: question.id, ...reply }, buffers);
    },
  },
});

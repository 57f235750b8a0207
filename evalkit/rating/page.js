// The served page's stand-in for a notebook's model: messages become requests.

import widget from "./widget.js";

const EVENT_MS = 8000; // as long as the widget waits for the answer to an event
const read = async (name) => (await fetch(name)).json();
const [labels, messages] = await Promise.all(["labels.json", "messages.json"].map(read));
const handlers = new Set();

function request({ ask, event }) {
  const signal = AbortSignal.timeout(EVENT_MS);
  if (ask === "view") return fetch("view", { signal });
  const headers = { "Content-Type": "application/json" };
  return fetch("event", { method: "POST", headers, body: JSON.stringify(event), signal });
}

const refusal = (status) => (status >= 500 ? { failed: true } : { gone: true });

/** A picture, which takes as long as it takes; after each part, how much is there. */
function picture(name, progress) {
  const asked = new XMLHttpRequest(); // of fetch's answer nobody is told how far it is
  asked.open("GET", `stimulus/${name}`);
  asked.responseType = "arraybuffer";
  asked.onprogress = ({ loaded, total }) => progress({ bytes: loaded, total });
  return new Promise((resolve) => {
    asked.onerror = () => resolve([{ failed: true }]);
    asked.onload = () =>
      resolve(
        asked.status === 200 ? [{}, [new DataView(asked.response)]] : [refusal(asked.status)],
      );
    asked.send();
  });
}

async function answer(question) {
  try {
    const response = await request(question);
    return [response.ok ? { view: await response.json() } : refusal(response.status)];
  } catch (error) {
    const isLost = error instanceof TypeError || error.name === "TimeoutError";
    if (!isLost) throw error; // fetch: no connection, or none in time
    return [{ failed: true }];
  }
}

widget.render({
  el: document.querySelector("main"),
  model: {
    get: (name) => ({ labels, messages, page: true })[name],
    on: (_, handler) => handlers.add(handler),
    off: (_, handler) => handlers.delete(handler),
    async send(question) {
      const tell = (reply, buffers = []) => {
        for (const handler of handlers) handler({ id: question.id, ...reply }, buffers);
      };
      const isPicture = question.ask === "stimulus";
      tell(...(await (isPicture ? picture(question.name, tell) : answer(question))));
    },
  },
});

// A link to what Python made: one in a notebook's own HTML loses its address.

export default {
  render({ model, el }) {
    const link = document.createElement("a");
    link.className = "jupyter-button";
    function show() {
      URL.revokeObjectURL(link.href);
      const content = model.get("content");
      link.hidden = !content.byteLength;
      link.href = URL.createObjectURL(new Blob([content]));
      link.download = model.get("name");
      link.textContent = model.get("label");
    }
    model.on("change:content", show);
    model.on("change:label", show);
    show();
    el.append(link);
    return () => URL.revokeObjectURL(link.href);
  },
};

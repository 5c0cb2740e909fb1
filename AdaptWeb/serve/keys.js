// Keys press the panel's buttons, as in Slicer; in a field for text they are typed, and Enter ends the typing.
window.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) && event.target.type !== "range"
    && event.target.type !== "checkbox";
  if (typing) {
    if (event.key === "Enter" || event.key === "Escape") event.target.blur();
    return;
  }
  if (event.altKey || event.metaKey) return;
  const onButton = event.key === "Enter" && event.target.tagName === "BUTTON";
  const named = { Enter: "Return", Escape: "Esc" }[event.key] || event.key;
  const letter = named.length === 1 ? named.toUpperCase() : named;
  const name = (event.ctrlKey ? "Ctrl+" : "") + (event.shiftKey && /^[A-Z]$/.test(letter) ? "Shift+" : "") + letter;
  const known = window.trame && window.trame.state.get("keys");
  if (onButton || !known || !known.includes(name)) return;
  event.preventDefault();
  window.trame.trigger("key", [name]);
});

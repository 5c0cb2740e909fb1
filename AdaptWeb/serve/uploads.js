// Files that are dropped on the page, or chosen, are sent to the server one after the other; folders with all they hold.
(() => {
  const files = async (entry) => {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader();
    const found = [];
    for (;;) {
      const part = await new Promise((done, failed) => reader.readEntries(done, failed));
      if (!part.length) return found;
      for (const inside of part) found.push(...(await files(inside)));
    }
  };

  const send = (address, file, progress) => new Promise((done) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.upload.onprogress = (event) => progress(event.loaded);
    request.onloadend = () => done(request.status === 200);
    request.send(file);
  });

  const show = (text) => window.trame.state.set("uploading", text);

  const sendAll = async (all) => {
    const drop = [...crypto.getRandomValues(new Uint8Array(8))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const total = all.reduce((sum, file) => sum + file.size, 0) || 1;
    let before = 0;
    let going = true;
    for (const file of all) {
      const progress = (loaded) => show(`Uploading: ${Math.floor((100 * (before + loaded)) / total)} %`);
      progress(0);
      going = await send(`upload/${drop}?name=${encodeURIComponent(file.name)}`, file, progress);
      if (!going) break;
      before += file.size;
    }
    if (going) {
      show("Opening...");
      await send(`uploaded/${drop}`, null, () => {});
    }
    show("");
  };

  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", async (event) => {
    event.preventDefault();
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    const all = (await Promise.all(entries.map(files))).flat();
    if (all.length) sendAll(all);
  });
  window.addEventListener("change", (event) => {
    if (event.target.id !== "upload") return;
    const all = [...event.target.files];
    event.target.value = "";
    if (all.length) sendAll(all);
  });
})();

// Documents, jobs and the comparison: files that are dropped, work that is watched, answers side by side.
// Every form works without it.
"use strict";

(() => {
  const POLL_MS = 1_000;
  const one = (selector, root = document) => root.querySelector(selector);
  const make = (tag, name, text = "") => {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text;
    return element;
  };

  /* A job that runs: how far it is and what it prints. When it has ended the page shows what came of it. */

  async function watch(card) {
    const bar = one("progress", card);
    const said = one("[role=status]", card);
    const log = one("[data-log]");
    for (;;) {
      await new Promise((wake) => setTimeout(wake, POLL_MS));
      if (document.hidden) continue;
      let job;
      try {
        const answer = await fetch(`/staff/jobs/${card.dataset.job}/state`);
        if (!answer.ok) return;
        job = await answer.json();
      } catch {
        continue; // the server is away for a moment; the job is not
      }
      if (job.total) {
        bar.max = job.total;
        bar.value = job.done;
      } else {
        bar.removeAttribute("value");
      }
      if (said.textContent !== job.text) said.textContent = job.text;
      if (log && log.textContent !== job.log) {
        const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
        log.textContent = job.log;
        if (atEnd) log.scrollTop = log.scrollHeight;
      }
      if (job.state === "running") continue;
      if (document.activeElement.matches?.("input, textarea, select")) {
        said.textContent = `It has ended (${job.state}). Load the page again to see what came of it.`;
        return;
      }
      location.replace(location.pathname + location.search.replace(/[?&]done=[^&]*/, ""));
      return;
    }
  }

  /* Uploads: one file after the other, each with its bar. */

  function send(form, file, replace, onProgress) {
    return new Promise((resolve) => {
      const data = new FormData();
      for (const [name, value] of new FormData(form)) {
        if (name !== "file" && name !== "replace") data.append(name, value);
      }
      if (replace) data.append("replace", "1");
      data.append("file", file);
      const request = new XMLHttpRequest();
      request.open("POST", form.action);
      request.setRequestHeader("accept", "application/json");
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) onProgress(event.loaded / event.total);
      });
      request.addEventListener("load", () => {
        try {
          const answer = JSON.parse(request.responseText);
          resolve({ ok: answer.taken.length > 0, ...(answer.refused[0] || {}) });
        } catch {
          resolve({ ok: false, why: `The server said no (${request.status}). Load the page again and try once more.` });
        }
      });
      request.addEventListener("error", () => resolve({ ok: false, why: "The connection broke; nothing of it was kept." }));
      request.send(data);
    });
  }

  function line(list, file) {
    const item = make("li", "dl-file");
    const bar = document.createElement("progress");
    const said = make("span", "ds-small", "waiting");
    bar.max = 1;
    bar.value = 0;
    bar.setAttribute("aria-label", `Upload of ${file.name}`);
    item.append(make("b", "", file.name), bar, said);
    list.append(item);
    return { item, bar, said };
  }

  async function upload(form, file, shown, replace) {
    const largest = Number(form.dataset.largest);
    shown.item.className = "dl-file";
    one("button", shown.item)?.remove();
    if (file.size > largest) {
      refuse(shown, `It is larger than ${Math.round(largest / 2 ** 20)} MiB, the most that is taken.`);
      return false;
    }
    shown.said.textContent = "uploading";
    const answer = await send(form, file, replace, (part) => {
      shown.bar.value = part;
      if (part === 1) shown.said.textContent = "checking";
    });
    if (answer.ok) {
      shown.bar.value = 1;
      shown.item.classList.add("dl-taken");
      shown.said.textContent = "uploaded";
      return true;
    }
    refuse(shown, answer.why);
    if (answer.taken) {
      const button = make("button", "ds-button", "Replace it");
      button.type = "button";
      button.addEventListener("click", async () => {
        if (await upload(form, file, shown, true)) ingest();
      });
      shown.item.append(button);
    }
    return false;
  }

  function refuse(shown, why) {
    shown.bar.value = 0;
    shown.item.classList.add("dl-refused");
    shown.said.textContent = why;
  }

  /* Take in what was uploaded. Where a job runs already it waits for the button. */
  function ingest() {
    const form = document.createElement("form");
    form.method = "post";
    form.action = "/staff/documents/ingest";
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = "what";
    field.value = "uploads";
    form.append(field);
    document.body.append(form);
    form.submit();
  }

  function uploads(form) {
    const input = one("[type=file]", form);
    const drop = one(".dl-drop", form);
    const list = one(".dl-files", form);
    one(".ds-actions", form).hidden = true; // files go as soon as they are dropped or chosen
    input.required = false;
    let queue = Promise.resolve();

    function take(files) {
      if (!form.reportValidity() || !files.length) return;
      const chosen = [...files].map((file) => [file, line(list, file)]);
      queue = queue.then(async () => {
        let taken = 0;
        for (const [file, shown] of chosen) taken += await upload(form, file, shown, one("[name=replace]", form).checked);
        input.value = "";
        const all = list.querySelectorAll(".dl-refused").length === 0;
        if (taken && all) ingest();
        else if (taken) offer(list);
      });
    }

    input.addEventListener("change", () => take(input.files));
    form.addEventListener("submit", (event) => event.preventDefault());
    for (const name of ["dragenter", "dragover"]) {
      drop.addEventListener(name, (event) => {
        event.preventDefault();
        drop.classList.add("dl-over");
      });
    }
    for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("dl-over"));
    drop.addEventListener("drop", (event) => {
      event.preventDefault();
      take(event.dataTransfer.files);
    });
    // A file that misses the place would replace the page.
    for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
  }

  /* Some were refused: the page stays so that it can be read why, and the others are taken in by a button. */
  function offer(list) {
    if (one(".dl-go", list.parentElement)) return;
    const button = make("button", "ds-button ds-primary dl-go", "Take in the others");
    button.type = "button";
    button.addEventListener("click", ingest);
    list.after(button);
  }

  /* The comparison: each mode's column is filled as soon as its answer is there. */

  async function fill(form, column) {
    const data = new URLSearchParams(new FormData(form));
    data.set("mode", column.dataset.mode);
    column.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/staff/compare/answer", { method: "POST", body: data });
      column.innerHTML = await answer.text(); // made and escaped by the server
    } catch {
      column.textContent = "The connection broke. Ask once more.";
    }
    column.removeAttribute("aria-busy");
  }

  /* The script is deferred: the page is there. */
  function start() {
    for (const card of document.querySelectorAll("[data-job]")) watch(card);
    for (const form of document.querySelectorAll("[data-upload]")) uploads(form);
    const compared = one("[data-compare]");
    if (compared) compare(compared);
    const log = one("[data-log]");
    if (log) log.scrollTop = log.scrollHeight;
  }

  function compare(form) {
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const columns = one(".dl-modes");
      const button = one("button", form);
      columns.hidden = false;
      button.disabled = true;
      for (const column of columns.querySelectorAll("[data-mode]")) {
        column.innerHTML = '<p class="dl-wait">Waiting…</p>';
      }
      for (const column of columns.querySelectorAll("[data-mode]")) await fill(form, column);
      button.disabled = false;
    });
  }

  start();
})();

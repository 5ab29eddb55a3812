"use strict";
// Filters the answers. The report is whole without it.
for (const form of document.querySelectorAll(".filter")) {
  const [kind, text, said] = ["select", "input", "output"].map((name) => form.querySelector(name));
  const cases = [...form.parentElement.querySelectorAll(".case")];
  const show = () => {
    const words = text.value.trim().toLowerCase();
    for (const one of cases) {
      one.hidden = (kind.value && one.dataset.kind !== kind.value) || !one.textContent.toLowerCase().includes(words);
    }
    const shown = cases.filter((one) => !one.hidden).length;
    said.textContent = shown === cases.length ? "" : `${shown} of ${cases.length}`;
  };
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
}

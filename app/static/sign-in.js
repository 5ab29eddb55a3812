// Comfort on the page for signing in: the theme that was chosen, and a look at the password. Nothing needs it.
"use strict";

try {
  const theme = localStorage.getItem("deskmate-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  /* storage is switched off */
}

const show = document.querySelector(".di-show");
if (show) {
  const password = document.getElementById("di-password");
  show.hidden = false;
  show.addEventListener("click", () => {
    const open = password.type === "password";
    password.type = open ? "text" : "password";
    show.textContent = open ? "Hide" : "Show";
    show.setAttribute("aria-pressed", String(open));
    password.focus();
  });
  show.form.addEventListener("submit", () => {
    password.type = "password"; // so that the browser offers to keep it
  });
}

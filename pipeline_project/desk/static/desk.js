// Everything works without this file; with it the keyboard does, and the page need not be loaded again.
"use strict";

const typing = (target) => target.matches("input:not([type=radio]), textarea, select");

document.addEventListener("keydown", (event) => {
  const answer = document.getElementById("answer");
  if (answer && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    answer.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!wanted || event.key === "Enter") return;
  event.preventDefault();
  if (wanted.type === "radio") {
    wanted.checked = true;
    wanted.focus();
    wanted.dispatchEvent(new Event("change", { bubbles: true }));
  } else {
    wanted.click();
  }
});

// What was found suggests what is cheapest to do; whoever decides may choose otherwise.
document.addEventListener("change", (event) => {
  const found = event.target.closest("[name=label]");
  if (!found) return;
  const best = (found.selectedOptions ? found.selectedOptions[0] : found).dataset.best;
  if (!best) return;
  const form = found.form;
  const radio = form.querySelector(`input[name=option][value="${CSS.escape(best)}"]`);
  const select = form.querySelector("select[name=option]");
  if (radio) radio.checked = true;
  else if (select) select.value = best;
});

const send = async (form) => {
  const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
};

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.matches("[data-reveal], [data-renew]")) {
    event.preventDefault();
    try {
      const told = await send(form);
      if (form.matches("[data-reveal]")) {
        const value = document.createElement("span");
        value.className = "revealed";
        value.tabIndex = -1;
        value.textContent = told.value;
        form.replaceWith(value);
        value.focus();
      } else {
        ends = Date.now() + told.left * 1000;
      }
    } catch {
      form.submit();
    }
  }
});

const lease = document.querySelector("[data-lease]");
let ends = lease ? Date.now() + Number(lease.dataset.lease) * 1000 : 0;
const tick = () => {
  const seconds = Math.max(0, Math.round((ends - Date.now()) / 1000));
  lease.classList.toggle("short", seconds < 120);
  lease.querySelector("span").textContent = seconds ? `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "no longer: take it again";
};
if (lease) {
  tick();
  setInterval(tick, 1000);
}

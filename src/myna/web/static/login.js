// Whoever followed a link from another site has the cookie, but their browser did not send it
// with the page; it does with a request of the page.
const { is_owner } = await (await fetch("/login/state")).json();
if (is_owner) location.replace(document.querySelector("[name=next]").value);

// Earlier conversations: { time, chat }, the latest first. The current one is not among them.
let earlier = kept("chats", []);
// More would fill the few megabytes that a browser keeps for a page.
const mostEarlier = 50;

const titleOf = (chat) => (version(chat[0]).text.split("\n")[0].slice(0, 80) || "(empty)");

// Puts the current conversation among the earlier ones, and goes on with another.
function switchChat(next) {
  running?.abort();
  if (chat.length) earlier.unshift({ time: Date.now(), chat });
  earlier = earlier.slice(0, mostEarlier);
  chat = next;
  keepEarlier();
  render();
}

function keepEarlier() {
  keep("chats", earlier);
}

function showHistory() {
  const items = earlier.map((entry, index) => {
    const title = titleOf(entry.chat);
    const open = button("Open", () => {
      earlier.splice(index, 1);
      byId("history").close();
      switchChat(entry.chat);
    });
    const remove = button("Delete", () => {
      earlier.splice(index, 1);
      keepEarlier();
      showHistory();
      byId("history-close").focus();
    });
    open.setAttribute("aria-label", "Open: " + title);
    remove.setAttribute("aria-label", "Delete: " + title);
    const turns = entry.chat.filter((message) => message.role === "user").length;
    const note = element("p", `${new Date(entry.time).toLocaleString()}, ${turns} ${turns === 1 ? "message" : "messages"}`);
    const buttons = element("div", open, remove);
    buttons.className = "row";
    return element("li", element("div", element("strong", title), note), buttons);
  });
  byId("history-list").replaceChildren(...items);
  byId("history-empty").hidden = items.length > 0;
}

function bindHistory() {
  byId("open-history").addEventListener("click", () => {
    showHistory();
    byId("history").showModal();
  });
  byId("history-close").addEventListener("click", () => byId("history").close());
}

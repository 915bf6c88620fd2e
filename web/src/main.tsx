import "@fontsource-variable/figtree/wght.css";
import "./design/tokens.css";
import "./design/base.css";
import "./ui/ui.css";
import "./pages/pages.css";
import "./call/call.css";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createApi } from "./api/client";
import { App } from "./app/App";
import { applyStoredTheme } from "./app/theme";
import { browserHost, Session } from "./session/session";

applyStoredTheme();
const session = new Session(browserHost());
void session.start();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <App session={session} api={createApi(session)} />
  </StrictMode>,
);

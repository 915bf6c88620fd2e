import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { restFake } from "./dev/rest-fake.ts";

const gateway = process.env["AURALINK_GATEWAY"];

// `npm run dev` talks to a running gateway when AURALINK_GATEWAY names one, and to the development fake otherwise.
export default defineConfig({
  plugins: [react(), ...(gateway ? [] : [restFake()])],
  server: {
    host: "127.0.0.1",
    ...(gateway ? { proxy: { "/api": { target: gateway } } } : {}),
  },
  build: {
    target: "es2022",
    // The first browsers with light-dark() and nesting; older targets would have the themes rewritten into variables.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // A data: address would need its own exception in the content security policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "livekit", test: /node_modules[\\/](livekit-client|@livekit)[\\/]/ },
            { name: "react", test: /node_modules[\\/](react|react-dom|react-router|scheduler)[\\/]/ },
          ],
        },
      },
    },
  },
});

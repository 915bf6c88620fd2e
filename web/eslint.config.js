import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

export default tseslint.config(
  { ignores: ["dist", "src/api/schema.gen.ts"] },
  js.configs.recommended,
  {
    // Runs in Node.js and hands functions to a page.
    files: ["test/*.mjs"],
    languageOptions: { globals: { process: "readonly", console: "readonly", window: "readonly", document: "readonly" } },
  },
  {
    files: ["**/*.{ts,tsx}"],
    extends: [...tseslint.configs.strictTypeChecked, hooks.configs.flat.recommended],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "no-restricted-syntax": [
        "error",
        { selector: "JSXAttribute[name.name='style']", message: "Style by class: the content security policy allows no inline style." },
        { selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']", message: "Text from people is text, never markup." },
      ],
    },
  },
);

import { Monitor, Moon, Sun } from "lucide-react";
import { setTheme, useTheme, type Theme } from "../app/theme";
import { Menu, MenuChoice } from "./Menu";

export const THEMES = [
  { value: "system", label: "Like the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
] as const satisfies readonly { value: Theme; label: string }[];

export function ThemeMenu() {
  const theme = useTheme();
  const Icon = theme === "dark" ? Moon : theme === "light" ? Sun : Monitor;
  return (
    <Menu label="Appearance" trigger={<Icon size={19} />}>
      <MenuChoice label="Appearance" value={theme} options={THEMES} onChange={setTheme} />
    </Menu>
  );
}

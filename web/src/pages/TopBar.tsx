import { KeyRound, LogOut, UserRound } from "lucide-react";
import { Link, useNavigate } from "react-router";
import { setTheme, useTheme } from "../app/theme";
import { useSession, useUser } from "../session/context";
import { Avatar } from "../ui/Avatar";
import { Brand } from "../ui/Brand";
import { Menu, MenuChoice, MenuItem, MenuLine } from "../ui/Menu";
import { THEMES } from "../ui/ThemeMenu";

export function TopBar() {
  return (
    <header className="topbar">
      <a className="skip-link" href="#main">
        Skip to content
      </a>
      <Link to="/" className="topbar-home" aria-label="AuraLink, your rooms">
        <Brand />
      </Link>
      <AccountMenu />
    </header>
  );
}

function AccountMenu() {
  const user = useUser();
  const session = useSession();
  const navigate = useNavigate();
  const theme = useTheme();
  if (!user) return null;
  return (
    <Menu label="Your account" triggerClass="account-button" trigger={<Avatar name={user.name} />}>
      <div className="account-card">
        <span className="account-name">{user.name}</span>
        <span className="account-id">{user.aura_id}</span>
      </div>
      <MenuLine />
      <MenuItem icon={<UserRound size={17} />} onSelect={() => void navigate("/profile")}>
        Profile
      </MenuItem>
      <MenuItem icon={<KeyRound size={17} />} onSelect={() => void navigate("/api-keys")}>
        API keys
      </MenuItem>
      <MenuChoice label="Appearance" value={theme} options={THEMES} onChange={setTheme} />
      <MenuLine />
      <MenuItem icon={<LogOut size={17} />} onSelect={() => void session.signOut()}>
        Sign out
      </MenuItem>
    </Menu>
  );
}

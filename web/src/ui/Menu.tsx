/** A menu button as the ARIA authoring practices describe it: arrows, Home, End, Escape, and focus that comes back. */
import { Check } from "lucide-react";
import { createContext, use, useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from "react";

const CloseContext = createContext<() => void>(() => undefined);

export function Menu({
  label,
  trigger,
  triggerClass = "icon-button",
  above = false,
  align = "end",
  children,
}: {
  label: string;
  trigger: ReactNode;
  triggerClass?: string;
  above?: boolean;
  align?: "start" | "end";
  children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    items(root.current)[0]?.focus();
    const outside = (event: Event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);

  const close = () => {
    setOpen(false);
    button.current?.focus();
  };

  return (
    <div className="menu" ref={root} onKeyDown={(event) => open && moveFocus(event, root.current, close, () => setOpen(false))}>
      <button
        ref={button}
        type="button"
        className={triggerClass}
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        onKeyDown={(event) => {
          if (open || (event.key !== "ArrowDown" && event.key !== "ArrowUp")) return;
          event.preventDefault();
          setOpen(true);
        }}
      >
        {trigger}
      </button>
      {open && (
        <div id={id} role="menu" aria-label={label} className={`menu-panel menu-${above ? "above" : "below"} menu-${align}`}>
          <CloseContext value={close}>{children}</CloseContext>
        </div>
      )}
    </div>
  );
}

function items(root: HTMLElement | null): HTMLElement[] {
  return [...(root?.querySelectorAll<HTMLElement>("[role^=menuitem]") ?? [])];
}

function moveFocus(event: KeyboardEvent, root: HTMLElement | null, close: () => void, leave: () => void): void {
  const all = items(root);
  const at = all.indexOf(document.activeElement as HTMLElement);
  const go = (index: number) => {
    event.preventDefault();
    all.at(index % all.length)?.focus();
  };
  // The call's own shortcuts must not hear keys meant for the menu.
  event.stopPropagation();
  if (event.key === "Escape") close();
  else if (event.key === "Tab") leave();
  else if (event.key === "ArrowDown") go(at + 1);
  else if (event.key === "ArrowUp") go(at - 1);
  else if (event.key === "Home") go(0);
  else if (event.key === "End") go(-1);
}

export function MenuItem({
  icon,
  danger = false,
  onSelect,
  children,
}: {
  icon: ReactNode;
  danger?: boolean;
  onSelect: () => void;
  children: ReactNode;
}) {
  const close = use(CloseContext);
  return (
    <button
      type="button"
      role="menuitem"
      tabIndex={-1}
      className={danger ? "menu-item menu-item-danger" : "menu-item"}
      onClick={() => {
        close();
        onSelect();
      }}
    >
      {icon}
      <span>{children}</span>
    </button>
  );
}

export function MenuChoice<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T;
  options: readonly { value: T; label: string }[];
  onChange: (value: T) => void;
}) {
  const close = use(CloseContext);
  return (
    <div role="group" aria-label={label}>
      <div className="menu-label" aria-hidden="true">
        {label}
      </div>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          role="menuitemradio"
          tabIndex={-1}
          aria-checked={option.value === value}
          className="menu-item"
          onClick={() => {
            close();
            onChange(option.value);
          }}
        >
          {option.value === value ? <Check size={17} /> : <span />}
          <span>{option.label}</span>
        </button>
      ))}
    </div>
  );
}

export function MenuLine() {
  return <div className="menu-line" role="separator" />;
}

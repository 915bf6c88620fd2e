/** Buttons, fields and other small parts. */
import { CircleAlert, Eye, EyeOff } from "lucide-react";
import { useId, useState, type ComponentProps, type ReactNode } from "react";

type ButtonLook = "primary" | "plain" | "quiet" | "danger";

export function buttonClass(look: ButtonLook = "plain", extra = ""): string {
  return `button button-${look} ${extra}`.trim();
}

export function Button({
  look = "plain",
  large = false,
  wide = false,
  busy = false,
  children,
  ...rest
}: ComponentProps<"button"> & { look?: ButtonLook; large?: boolean; wide?: boolean; busy?: boolean }) {
  const extra = `${large ? "button-large" : ""} ${wide ? "button-wide" : ""}`;
  return (
    <button type="button" {...rest} className={buttonClass(look, extra)} disabled={busy || rest.disabled} aria-busy={busy}>
      {busy && <Spinner />}
      {children}
    </button>
  );
}

export function IconButton({ label, children, ...rest }: ComponentProps<"button"> & { label: string }) {
  return (
    <button type="button" className="icon-button" {...rest} aria-label={label} title={label}>
      {children}
    </button>
  );
}

export function Spinner({ large = false }: { large?: boolean }) {
  return <span className={large ? "spinner spinner-large" : "spinner"} aria-hidden="true" />;
}

export function Waiting({ what }: { what: string }) {
  return (
    <div className="waiting" role="status">
      <Spinner large />
      <span>{what}</span>
    </div>
  );
}

export function Field({
  label,
  error,
  hint,
  ...input
}: Omit<ComponentProps<"input">, "id"> & { label: string; error?: string | undefined; hint?: ReactNode }) {
  const id = useId();
  const described = [error ? `${id}-error` : "", hint ? `${id}-hint` : ""].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label className="field-label" htmlFor={id}>
        {label}
      </label>
      <Input {...input} id={id} aria-invalid={error ? true : undefined} aria-describedby={described || undefined} />
      {hint && !error && (
        <span className="field-hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {error && (
        <span className="field-error" id={`${id}-error`}>
          <CircleAlert size={15} aria-hidden="true" />
          {error}
        </span>
      )}
    </div>
  );
}

function Input(props: ComponentProps<"input">) {
  const [shown, setShown] = useState(false);
  if (props.type !== "password") return <input className="input" {...props} />;
  return (
    <span className="with-reveal">
      <input className="input" {...props} type={shown ? "text" : "password"} />
      <IconButton label={shown ? "Hide password" : "Show password"} aria-pressed={shown} onClick={() => setShown(!shown)}>
        {shown ? <EyeOff size={18} /> : <Eye size={18} />}
      </IconButton>
    </span>
  );
}

export function Switch({ label, checked, onChange }: { label: ReactNode; checked: boolean; onChange: (on: boolean) => void }) {
  return (
    <label className="switch">
      <span>{label}</span>
      <input type="checkbox" role="switch" checked={checked} onChange={(event) => onChange(event.target.checked)} />
    </label>
  );
}

export function Notice({
  tone = "info",
  icon,
  title,
  children,
  alert = false,
}: {
  tone?: "info" | "warn" | "danger";
  icon: ReactNode;
  title?: string;
  children?: ReactNode;
  alert?: boolean;
}) {
  return (
    <div className={`notice notice-${tone}`} role={alert ? "alert" : undefined}>
      {icon}
      <div className="notice-body">
        {title && <span className="notice-title">{title}</span>}
        {children}
      </div>
    </div>
  );
}

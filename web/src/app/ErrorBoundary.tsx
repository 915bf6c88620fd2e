import { Component, type ErrorInfo, type ReactNode } from "react";
import { asProblem, type Problem } from "../api/problem";
import { ProblemPage } from "../pages/Problems";

/** The last net: a defect in the console shows a page that says so, with a way out. */
export class ErrorBoundary extends Component<{ children: ReactNode }, { problem: Problem | null }> {
  override state: { problem: Problem | null } = { problem: null };

  static getDerivedStateFromError(error: unknown): { problem: Problem } {
    return { problem: asProblem(error) };
  }

  override componentDidCatch(error: Error, info: ErrorInfo): void {
    console.error("console.crashed", error, info.componentStack);
  }

  override render(): ReactNode {
    if (!this.state.problem) return this.props.children;
    return <ProblemPage problem={this.state.problem} retry={() => window.location.assign("/")} />;
  }
}

/** Dark or light: the system's wish until a person says otherwise. */

const themes = ["system", "dark", "light"] as const;

export function installTheme(control: HTMLButtonElement): void {
  let at = 0;
  const apply = (): void => {
    const theme = themes[at]!;
    if (theme === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    control.textContent = `Theme: ${theme}`;
  };
  control.addEventListener("click", () => {
    at = (at + 1) % themes.length;
    apply();
  });
  apply();
}

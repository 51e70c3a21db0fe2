package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"secretless/internal/fips"
)

func versionCommand(env Env) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Args:    cobra.NoArgs,
		Example: "  secretless version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(env.Stdout, versionText())
			return err
		},
	}
}

// versionText is the version, what it was built with, and the FIPS mode.
func versionText() string {
	text := fmt.Sprintf("secretless %s %s %s/%s", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	if mode := fips.Text(); mode != "" {
		text += " (" + mode + ")"
	}
	return text
}

// buildVersion is what the build recorded: the module's version where it was
// installed as one, else the commit.
func buildVersion() string {
	version, revision, dirty := "devel", "", ""
	if info, ok := debug.ReadBuildInfo(); ok {
		if v := info.Main.Version; v != "" && v != "(devel)" {
			version = v
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && len(s.Value) >= 12:
				revision = " " + s.Value[:12]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "+dirty"
			}
		}
	}
	return version + revision + dirty
}

package main

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/monitor"
)

func monitorVerifyCommand() *cobra.Command {
	var o monitorOptions
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Verify the whole ledger and every decision whose evidence can be opened",
		Long: "Reads the ledger from its first leaf, computes the Merkle root anew, holds it against the checkpoint and against what was seen before;\n" +
			"then opens the evidence, makes every decision again, and compares it with its leaf. Findings are told one a line. With --kept it goes\n" +
			"on from what was verified before.\n\n" +
			"Exit status 0: nothing was found. 3: something was. 1: the ledger or a file could not be read.",
		Example: "  ursa monitor verify --gate gate --state monitor.json\n" +
			"  ursa monitor verify --gate https://gate.example.net:8443 --ledger-key ledger.json --evidence copy --auditor auditor --trust trust.json --complete",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := o.once(cmd)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd, r)
			} else {
				_, err = fmt.Fprint(cmd.OutOrStdout(), r.Text())
			}
			return found(r, err)
		},
	}
	o.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

// once reads everything that there is.
func (o monitorOptions) once(cmd *cobra.Command) (monitor.Report, error) {
	w, err := o.startAll(cmd)
	if err != nil {
		return monitor.Report{}, err
	}
	defer w.close()
	if slices.ContainsFunc(w.list, func(x *watcher) bool { return x.o.state+x.o.kept == "" }) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: without --state FILE or --kept FILE a ledger that is rolled back or forked between two runs is not noticed")
	}
	if slices.ContainsFunc(w.list, func(x *watcher) bool { return x.o.proofs.trust == "" && len(x.o.evidence) > 0 }) {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: without --trust FILE evidence is only shown to be sound within itself: its beacons may be anybody's")
	}
	r, err := w.round(cmd.Context())
	switch {
	case err != nil && (r == nil || r.Sound()): // nothing was found, but not everything was looked at
		return monitor.Report{}, err
	case err != nil:
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", oneLine(err.Error()))
	}
	if r.Unopened > 0 && !o.complete {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %d releases were not looked into, because their evidence is not here or is locked to other auditors\n", r.Unopened)
	}
	return *r, nil
}

// found chooses the exit status.
func found(r monitor.Report, err error) error {
	switch {
	case err != nil:
		return err
	case r.Sound():
		return nil
	case len(r.Findings) == 1:
		return deniedError{"1 finding"}
	}
	return deniedError{fmt.Sprintf("%d findings", len(r.Findings))}
}

func monitorReportCommand() *cobra.Command {
	var o monitorOptions
	var asJSON bool
	var by, table, plot string
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Usage per core, tenant and jurisdiction over time",
		Long: "Adds up what was released and used, from evidence that verifies; nothing that does not is counted. Jurisdictions are what the proven\n" +
			"regions touch, such as DE, or AT DE where a proof did not tell them apart. Findings are told at the end, with the exit status of\n" +
			"'ursa monitor verify'.",
		Example: "  ursa monitor report --gate gate\n  ursa monitor report --gate gate --per month --by tenant --csv usage.csv --plot usage.svg",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			apart := monitor.By(by)
			if apart != monitor.ByCore && apart != monitor.ByTenant && apart != monitor.ByJurisdiction {
				return usagef("--by %q: use jurisdiction, tenant or core", by)
			}
			format := strings.TrimPrefix(strings.ToLower(filepath.Ext(plot)), ".")
			if plot != "" && format != "svg" && format != "png" {
				return usagef("--plot %q: end its name in .svg or .png", plot)
			}
			r, err := o.once(cmd)
			if err != nil {
				return err
			}
			if err := reportFiles(r, table, plot, format, apart); err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd, r)
			} else {
				err = usageTable(cmd.OutOrStdout(), r)
			}
			return found(r, err)
		},
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.period, "per", string(monitor.Day), "`PERIOD` of a row: hour, day or month, in UTC")
	f.StringVar(&by, "by", string(monitor.ByJurisdiction), "what the plot tells apart: jurisdiction, tenant or core")
	f.StringVar(&table, "csv", "", "write the rows to `FILE`")
	f.StringVar(&plot, "plot", "", "draw units over time to `FILE`, .svg or .png")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func reportFiles(r monitor.Report, table, plot, format string, by monitor.By) error {
	if table != "" {
		var b bytes.Buffer
		if err := r.CSV(&b); err != nil {
			return err
		}
		if err := writeWhole(table, b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	if plot == "" {
		return nil
	}
	var b bytes.Buffer
	if err := r.Chart(&b, format, by); err != nil {
		return err
	}
	return writeWhole(plot, b.Bytes(), 0o644)
}

func usageTable(out io.Writer, r monitor.Report) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "PERIOD\tTENANT\tCORE\tTOUCHES\tGRANTS\tUNITS\tUSED\tDENIED")
	for _, u := range r.Usage {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", u.Period, u.Tenant, u.Core[:min(8, len(u.Core))], u.Touches, u.Grants, u.Units, u.Used, u.Denied)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\n%d of %d releases were opened; %d units were released in all\n%s", r.Grants-r.Unopened, r.Grants, r.Units, r.FoundText())
	return err
}

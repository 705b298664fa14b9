package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/chart"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/calib/report"
	"github.com/ursa-virtual/ursa/topology/identity"
)

type calibReportFlags struct {
	data, model, signer string
	out, format, beacon string
	json                bool
}

func calibReportCommand() *cobra.Command {
	var o calibReportFlags
	cmd := &cobra.Command{
		Use:   "report --data DIR",
		Short: "Tables and drawings of a calibration: the fleet, each node, delays against distances, conflicts on a map",
		Long: "Audits the set, fits the delay model to what is left (or opens a signed one with --model), and prints the fleet's curve\n" +
			"and a row for each node. With --out it writes report.json, nodes.csv, a scatter of delays against distances with the\n" +
			"fitted curves, and a map of the contradictions.",
		Example: "  ursa calib report --data ../shared/data/wonderproxy-2020\n" +
			"  ursa calib report --data measured --out report --format png\n" +
			"  ursa calib report --data measured --model model.ursa --signer trust.json --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "folder of the measured set")
	flags.StringVar(&o.model, "model", "", "`FILE` of a signed model to hold against the set (default: fit one)")
	flags.StringVar(&o.signer, "signer", "", "public key `FILE`, or trust file, of who signed the model")
	flags.StringVar(&o.out, "out", "", "write tables and drawings into this folder")
	flags.StringVar(&o.format, "format", "svg", "of the drawings: svg or png")
	flags.StringVar(&o.beacon, "beacon", "", "draw the scatter of this node too, with its own bestline and offset")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func (o *calibReportFlags) run(cmd *cobra.Command) error {
	format := chart.Format(o.format)
	switch {
	case o.data == "":
		return usagef("no data: say --data DIR, a folder with nodes.csv and rtt.csv")
	case format != chart.SVG && format != chart.PNG:
		return usagef("--format %q: use svg or png", o.format)
	case (o.model == "") != (o.signer == ""):
		return usagef("--model and --signer belong together: a model counts for who signed it")
	case o.beacon != "" && o.out == "":
		return usagef("--beacon draws into a folder: say --out DIR too")
	}
	set, err := calibLoad("--data", o.data)
	if err != nil {
		return err
	}
	if _, ok := set.Index(o.beacon); o.beacon != "" && !ok {
		return usagef("--beacon %q is no node of %s: use an id of its nodes.csv", o.beacon, set.Name)
	}
	found, err := audit.Run(set, audit.Options{Countries: calibCountries})
	if err != nil {
		return err
	}
	m, err := o.open(set, found)
	if err != nil {
		return err
	}
	r := report.Make(set, found, m)
	if o.out != "" {
		if err := o.write(set, r, m, format); err != nil {
			return err
		}
	}
	if o.json {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(r)
	}
	if err := r.Text(cmd.OutOrStdout()); err != nil || o.out == "" {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nwritten to %s: report.json, nodes.csv, scatter.%s, map.%s\n", o.out, format, format)
	return err
}

// open fits a model to what the audit leaves of the set, or opens the one that was named.
func (o *calibReportFlags) open(set *dataset.Set, r audit.Report) (*model.Model, error) {
	now := time.Now()
	if o.model == "" {
		clean, err := audit.Clean(set, r)
		if err != nil {
			return nil, err
		}
		return model.Fit(calibNodes(clean), clean, model.Options{Name: set.Name, Issued: now, Expires: now.Add(calibValid)})
	}
	signers, err := calibSigners(o.signer)
	if err != nil {
		return nil, err
	}
	data, err := readLimited(o.model, model.MaxFile+8192)
	if err != nil {
		return nil, err
	}
	var failed error
	for _, key := range signers {
		m, err := model.Open(data, key, now)
		if err == nil {
			return m, nil
		}
		failed = err
		if errors.Is(err, model.ErrExpired) {
			break
		}
	}
	return nil, fmt.Errorf("%s is refused: %w", o.model, failed)
}

// calibSigners reads a public key file or a trust file.
func calibSigners(path string) ([]identity.Public, error) {
	data, err := readLimited(path, 1<<20)
	if err != nil {
		return nil, err
	}
	var f struct {
		Key   *identity.Public  `json:"key"`
		Roots []identity.Public `json:"roots"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("%s is neither a public key file nor a trust file: %w", path, err)
	}
	if f.Key != nil {
		f.Roots = append(f.Roots, *f.Key)
	}
	if len(f.Roots) == 0 {
		return nil, fmt.Errorf("%s names no key: a public key file (such as gate.json) or a trust file is needed", path)
	}
	return f.Roots, nil
}

func (o *calibReportFlags) write(set *dataset.Set, r report.Report, m *model.Model, format chart.Format) error {
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return usagef("--out: %w", err)
	}
	drawings := map[string]func(io.Writer) error{
		"report.json":               func(w io.Writer) error { return json.NewEncoder(w).Encode(r) },
		"nodes.csv":                 r.WriteBeacons,
		"scatter." + string(format): func(w io.Writer) error { return chart.Scatter(w, format, set, r.Audit, m, "") },
		"map." + string(format):     func(w io.Writer) error { return chart.Map(w, format, set, r.Audit) },
	}
	if o.beacon != "" {
		drawings["beacon."+string(format)] = func(w io.Writer) error { return chart.Scatter(w, format, set, r.Audit, m, o.beacon) }
	}
	for name, fill := range drawings {
		if err := calibWrite(filepath.Join(o.out, name), fill); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	return nil
}

// calibWrite fills a file.
func calibWrite(path string, fill func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := fill(file); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}

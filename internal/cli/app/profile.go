package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// profilesVersion is the form of the file of profiles.
const profilesVersion = 1

// Profile is a cluster that is connected to by a name.
type Profile struct {
	// Brokers are host:port.
	Brokers []string `yaml:"brokers" json:"brokers"`
	// Properties are a client's, in librdkafka's names or Java's. A secret may stand elsewhere: see Secret.
	Properties map[string]string `yaml:"properties,omitempty" json:"properties"`
	// Protect says that what destroys needs --confirm NAME here.
	Protect bool `yaml:"protect,omitempty" json:"protect"`
	// Colour marks the cluster on a terminal: red, yellow, green, blue, or empty for none.
	Colour string `yaml:"colour,omitempty" json:"colour"`
}

// Profiles is the file of profiles: ~/.config/klamm/config.yaml, readable by its owner alone.
type Profiles struct {
	Version int                `yaml:"version"`
	Current string             `yaml:"current,omitempty"`
	All     map[string]Profile `yaml:"profiles"`

	path string
}

// Names are the profiles' names, sorted.
func (p *Profiles) Names() []string {
	names := make([]string, 0, len(p.All))
	for n := range p.All {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Path is where the file is, or would be.
func (p *Profiles) Path() string { return p.path }

// configDir is where the settings of a person are; empty when the environment names no home.
func (a *App) configDir() string {
	if d := a.Env("XDG_CONFIG_HOME"); d != "" {
		return filepath.Join(d, "klamm")
	}
	for _, home := range []string{"HOME", "USERPROFILE"} {
		if d := a.Env(home); d != "" {
			return filepath.Join(d, ".config", "klamm")
		}
	}
	return ""
}

// ProfilesPath is where the file of profiles is, or would be; empty when the environment names no home.
func (a *App) ProfilesPath() string {
	if dir := a.configDir(); dir != "" {
		return filepath.Join(dir, "config.yaml")
	}
	return ""
}

// Profiles reads the file of profiles; one that is not there has none.
func (a *App) Profiles() (*Profiles, error) {
	p := &Profiles{Version: profilesVersion, All: map[string]Profile{}, path: a.ProfilesPath()}
	if p.path == "" {
		return p, nil
	}
	b, err := os.ReadFile(p.path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, Input(err, "the profiles could not be read")
	}
	if err := ParseProfiles(b, p); err != nil {
		f := Input(err, "the profiles in %s cannot be used", p.path)
		f.Try = "klamm profile edit"
		return nil, f
	}
	return p, nil
}

// ParseProfiles reads the text of a file of profiles into p, and refuses what it does not know.
func ParseProfiles(b []byte, p *Profiles) error {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		return err
	}
	if p.Version != profilesVersion {
		return fmt.Errorf("version %d is not known here; %d is", p.Version, profilesVersion)
	}
	if p.All == nil {
		p.All = map[string]Profile{}
	}
	for _, name := range p.Names() {
		if err := p.All[name].Check(); err != nil {
			return fmt.Errorf("profile %s: %w", name, err)
		}
	}
	if _, ok := p.All[p.Current]; p.Current != "" && !ok {
		return fmt.Errorf("current is %s, and there is no such profile", p.Current)
	}
	return nil
}

// Check refuses a profile that cannot be connected by. Secrets are not looked up.
func (p Profile) Check() error {
	addrs := SplitBrokers(strings.Join(p.Brokers, ","))
	if len(addrs) == 0 {
		return errors.New("it names no brokers")
	}
	for _, addr := range addrs {
		if err := checkAddr(addr); err != nil {
			return fmt.Errorf("%s is no address of a broker: %w", addr, err)
		}
	}
	if !slices.Contains([]string{"", "red", "yellow", "green", "blue"}, p.Colour) {
		return fmt.Errorf("colour %q is none of red, yellow, green and blue", p.Colour)
	}
	known := knownProperties()
	for name := range p.Properties {
		if _, ok := known[name]; !ok {
			return unknownProperty(name, known)
		}
	}
	return nil
}

// Save writes the file of profiles, whole or not at all.
func (p *Profiles) Save() error {
	if p.path == "" {
		return &Failure{Exit: ExitFailed, Code: CodeInput, What: "the profiles could not be saved", Why: "neither XDG_CONFIG_HOME nor HOME is set", Try: "set HOME"}
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(p), enc.Close()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return Input(err, "the profiles could not be saved")
	}
	if err := WriteFile(p.path, b.Bytes(), 0o600); err != nil {
		return Input(err, "the profiles could not be saved")
	}
	return nil
}

// WriteFile writes a file whole or not at all: beside it first, and then in its place.
func WriteFile(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// chosen is the profile that is used, with its name, and whether it was asked for by name. The name is empty
// when none is used.
func (a *App) chosen() (name string, p Profile, asked bool, err error) {
	name, asked = a.profile, a.profile != ""
	if name == "" {
		name = a.Env("KLAMM_PROFILE")
		asked = name != ""
	}
	all, err := a.Profiles()
	if err != nil {
		return "", Profile{}, false, err
	}
	if name == "" {
		name = all.Current
	}
	if name == "" {
		return "", Profile{}, false, nil
	}
	p, ok := all.All[name]
	if !ok {
		return "", Profile{}, false, missing("profile", name, "klamm profile list", all.Names())
	}
	return name, p, asked, nil
}

// Protected names the profile that is used when it is protected: what destroys asks for a name there. It is
// empty otherwise.
func (a *App) Protected() string {
	if t, err := a.target(); err == nil && t.protect {
		return t.profile
	}
	return ""
}

package app

// Other is an App that talks to another cluster, for commands that work on two at once: by its brokers, by a
// profile, or by both. With a profile, the properties of -X are not meant for it; without, they count for both.
// Where it reads and writes is as in a.
func (a *App) Other(brokers, profile string) *App {
	other := *a
	other.brokers, other.moreBrokers, other.found = brokers, "", nil
	if profile != "" {
		other.profile, other.properties, other.more = profile, nil, nil
	}
	return &other
}

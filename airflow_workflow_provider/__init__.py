"""Run, await and harvest the workflows of CARTO, Alteryx, Stevesie, TIBCO Chorus and InVision from Apache Airflow."""

__version__ = "0.1.0"
